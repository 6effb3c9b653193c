# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from allocmark.workload.language.distributions import KINDS, AnyDistribution, Distribution

ADAPTER: TypeAdapter[Distribution] = TypeAdapter(AnyDistribution)

values = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=20)
weight = st.floats(1e-6, 1e6)
bounds = st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1)).map(sorted)

TABLE = Path(__file__).parent / "quantiles.txt"

CONTENTS: dict[str, st.SearchStrategy[Any]] = {
    "uniform": bounds,
    "choice": st.dictionaries(st.integers(0, 2**63 - 1), weight, min_size=1, max_size=20),
    "geometric": st.fixed_dictionaries({"mean": st.floats(1, 2**32), "max": st.integers(1, 2**63 - 1)}),
    "zipf": st.one_of(
        st.fixed_dictionaries({"exponent": st.floats(0, 16), "values": values}),
        st.builds(
            lambda exponent, ends: {"exponent": exponent, "min": max(1, ends[0]), "max": max(1, ends[1])},
            st.floats(0, 16),
            bounds,
        ),
    ),
    "pareto": st.builds(
        lambda shape, ends, scale: {"shape": shape, "min": max(1, ends[0]), "max": max(1, ends[1]), **scale},
        st.floats(1e-3, 64),
        bounds,
        st.one_of(st.just({}), st.fixed_dictionaries({"scale": st.floats(1e-3, 1e18)})),
    ),
    "lognormal": st.builds(
        lambda median, sigma, ends: {"median": median, "sigma": sigma, "min": ends[0], "max": ends[1]},
        st.floats(1e-3, 1e9),
        st.floats(1e-3, 16),
        bounds,
    ),
    "empirical": values.flatmap(
        lambda v: st.fixed_dictionaries(
            {"values": st.just(v), "weights": st.lists(weight, min_size=len(v), max_size=len(v))}
        )
    ),
    "cycle": values,
    "quantiles": st.just(str(TABLE)),
}
distributions = st.one_of(*(content.map(lambda each, kind=kind: {kind: each}) for kind, content in CONTENTS.items()))


def draws(content: dict[str, Any], count: int, seed: int = 1) -> list[int]:
    draw = ADAPTER.validate_python(content).sampler(Random(seed))
    return [draw() for _ in range(count)]


def test_every_kind_is_tested() -> None:
    assert {model.kind for model in KINDS} == set(CONTENTS)


@given(distributions, st.integers(0, 2**32))
def test_draws_stay_within_the_bounds_and_repeat_with_the_seed(content: dict[str, Any], seed: int) -> None:
    distribution = ADAPTER.validate_python(content)
    drawn = draws(content, 50, seed)
    assert all(type(each) is int for each in drawn)
    assert distribution.minimum <= min(drawn)
    assert max(drawn) <= distribution.maximum
    assert drawn == draws(content, 50, seed)


class Extremes(Random):
    """The ends of what ``random()`` can give."""

    def random(self) -> float:
        self.turn = not getattr(self, "turn", False)
        return 1 - 2.0**-53 if self.turn else 0.0


@given(distributions)
def test_the_ends_of_the_random_numbers_are_no_trap(content: dict[str, Any]) -> None:
    distribution = ADAPTER.validate_python(content)
    draw = distribution.sampler(Extremes())
    assert all(distribution.minimum <= draw() <= distribution.maximum for _ in range(4))


@given(distributions)
def test_minimum_and_maximum_do_not_exceed_what_the_content_names(content: dict[str, Any]) -> None:
    distribution = ADAPTER.validate_python(content)
    assert 0 <= distribution.minimum <= distribution.maximum < 2**63


def share(counts: Counter[int], value: int) -> float:
    return counts[value] / counts.total()


def test_uniform_reaches_both_ends_alike() -> None:
    counts = Counter(draws({"uniform": [3, 6]}, 40_000))
    assert set(counts) == {3, 4, 5, 6}
    assert all(share(counts, value) == pytest.approx(0.25, abs=0.015) for value in counts)


def test_choice_follows_its_weights_and_not_its_order() -> None:
    counts = Counter(draws({"choice": {64: 7, 594: 4, 1518: 1}}, 60_000))
    assert [share(counts, size) for size in (64, 594, 1518)] == pytest.approx([7 / 12, 4 / 12, 1 / 12], abs=0.01)
    assert draws({"choice": {1: 1, 2: 3}}, 50) == draws({"choice": {2: 3, 1: 1}}, 50)


def test_geometric_has_its_mean_and_loses_memory() -> None:
    drawn = draws({"geometric": {"mean": 8, "max": 10_000}}, 60_000)
    assert sum(drawn) / len(drawn) == pytest.approx(8, rel=0.03)
    assert share(Counter(drawn), 1) == pytest.approx(1 / 8, abs=0.01)
    assert set(draws({"geometric": {"mean": 1, "max": 5}}, 20)) == {1}
    short = Counter(draws({"geometric": {"mean": 8, "max": 2}}, 40_000))  # redrawn, not piled up at max
    assert share(short, 1) == pytest.approx((1 / 8) / (1 / 8 + 7 / 64), abs=0.015)


def test_zipf_ranks_by_place() -> None:
    counts = Counter(draws({"zipf": {"exponent": 1, "values": [50, 10, 90]}}, 60_000))
    total = 1 + 1 / 2 + 1 / 3
    expected = [1 / total, 1 / 2 / total, 1 / 3 / total]
    assert [share(counts, value) for value in (50, 10, 90)] == pytest.approx(expected, abs=0.01)


def test_zipf_over_a_range_falls_by_its_exponent() -> None:
    drawn = draws({"zipf": {"exponent": 2, "min": 8, "max": 32768}}, 60_000)
    above = [sum(size >= bound for size in drawn) / len(drawn) for bound in (16, 64, 512)]
    assert above == pytest.approx([1 / 2, 1 / 8, 1 / 64], rel=0.1)
    flat = sorted(draws({"zipf": {"exponent": 1, "min": 1, "max": 10_000}}, 40_001))
    assert flat[20_000] == pytest.approx(100, rel=0.1)  # as often in each decade


def test_pareto_has_its_tail() -> None:
    drawn = draws({"pareto": {"shape": 1.5, "min": 100, "max": 10**9}}, 60_000)
    assert [sum(each >= bound for each in drawn) / len(drawn) for bound in (200, 1000)] == pytest.approx(
        [2**-1.5, 10**-1.5], rel=0.1
    )
    general = draws({"pareto": {"shape": 2, "scale": 300, "min": 0, "max": 10**9}}, 60_000)
    assert sum(each >= 300 for each in general) / len(general) == pytest.approx(1 / 4, rel=0.05)


def test_a_table_of_quantiles_is_followed() -> None:
    drawn = sorted(draws({"quantiles": str(TABLE)}, 40_001))
    assert drawn[0] == 8
    assert drawn[4_000] == pytest.approx(8, abs=2)  # a tenth is at the first value
    assert [drawn[20_000], drawn[35_000]] == pytest.approx([64, 964], rel=0.05)
    assert drawn[38_000] == pytest.approx(33_280, rel=0.1)  # half way to the next line


def test_lognormal_has_its_median_and_spread() -> None:
    drawn = sorted(draws({"lognormal": {"median": 500, "sigma": 0.5, "min": 0, "max": 10**6}}, 40_001))
    assert drawn[20_000] == pytest.approx(500, rel=0.03)
    assert math.log(drawn[33_650] / drawn[20_000]) == pytest.approx(0.5, rel=0.05)  # one sigma above
    cut = Counter(draws({"lognormal": {"median": 500, "sigma": 0.5, "min": 0, "max": 500}}, 20_000))
    assert share(cut, 500) < 0.01  # redrawn, not piled up at max


def test_empirical_follows_its_weights() -> None:
    counts = Counter(draws({"empirical": {"values": [7, 3], "weights": [1, 4]}}, 40_000))
    assert share(counts, 3) == pytest.approx(0.8, abs=0.01)


def test_each_sampler_cycles_on_its_own() -> None:
    cycle = ADAPTER.validate_python({"cycle": [5, 1, 3]})
    one, other = cycle.sampler(Random(1)), cycle.sampler(Random(1))
    assert [one() for _ in range(5)] == [5, 1, 3, 5, 1]
    assert other() == 5


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"uniform": [1, 1000]}, [640, 26, 276, 224, 737, 677]),
        ({"choice": {64: 7, 594: 4, 1518: 1}}, [594, 64, 64, 64, 594, 594]),
        ({"geometric": {"mean": 8, "max": 64}}, [8, 1, 3, 2, 10, 9]),
        ({"zipf": {"exponent": 1.2, "values": [9, 8, 7]}}, [8, 9, 9, 9, 8, 8]),
        (
            {"lognormal": {"median": 500, "sigma": 0.5, "min": 64, "max": 1518}},
            [591, 187, 369, 340, 676, 621],
        ),
        ({"empirical": {"values": [3, 5], "weights": [1, 2]}}, [5, 3, 3, 3, 5, 5]),
    ],
)
def test_a_seed_means_the_same_draws_for_ever(content: dict[str, Any], expected: list[int]) -> None:
    """Recorded once from Python 3.11: another sequence would silently be another workload."""
    assert draws(content, 6, seed=42) == expected
