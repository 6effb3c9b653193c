# SPDX-License-Identifier: BSD-3-Clause
"""From samples to blocks, from blocks to rounds, from two costs to their log ratios."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocmark import stats
from allocmark.stats import Verdict

costs = st.floats(1e-3, 1e6)


def test_block_medians_are_those_of_kept_blocks() -> None:
    samples, blocks = [5.0, 1.0, 2.0, 30.0, 7.0], [0, 1, 1, 1, 2]
    assert stats.block_medians(samples, blocks, {0, 1}) == {0: 5.0, 1: 2.0}


def test_a_round_is_the_median_of_its_blocks_however_many_it_has() -> None:
    assert stats.round_medians({0: 1.0, 1: 9.0, 2: 3.0, 4: 7.0}, [0, 0, 0, 1, 5]) == {0: 3.0, 5: 7.0}


def test_a_log_ratio_removes_what_the_blocks_of_both_share() -> None:
    baseline = {block: 10.0 * (1 + block) for block in range(12)}
    logs = stats.log_ratios({b: 1.25 * v for b, v in baseline.items()}, baseline, [b // 4 for b in range(12)])
    assert logs == pytest.approx(dict.fromkeys(range(3), math.log(1.25)))


def test_only_blocks_that_both_have_are_compared() -> None:
    rounds = [0, 0, 1, 1]
    assert stats.log_ratios({0: 2.0, 1: 9.0, 2: 3.0}, {0: 1.0, 3: 1.0}, rounds) == {0: math.log(2)}
    assert stats.log_ratios({0: 2.0}, {3: 1.0}, rounds) == {}


def test_the_difference_pairs_rounds_and_keeps_what_is_below_the_floor() -> None:
    assert stats.difference({0: 5.0, 1: 1.0, 2: 4.0}, {0: 2.0, 1: 1.5}) == {0: 3.0, 1: -0.5}


@pytest.mark.parametrize(
    ("own", "base", "log"),
    [(2.0, 1.0, math.log(2)), (-1.0, 1.0, -math.inf), (0.0, 1.0, -math.inf), (1.0, -2.0, math.inf), (-1.0, 0.0, 0.0)],
)
def test_a_cost_of_nothing_is_infinitely_small(own: float, base: float, log: float) -> None:
    assert stats.log_ratio(own, base) == log


def test_a_ratio_survives_a_few_rounds_in_which_the_net_fell_below_zero() -> None:
    logs = [math.log(0.5) if each % 8 else -math.inf for each in range(40)]
    ratio, back = stats.final_look(logs, 1), stats.final_look([-x for x in logs], 1)
    assert ratio is not None
    assert back is not None
    assert (ratio.value, back.value) == pytest.approx((0.5, 2))
    assert stats.final_look([-math.inf] * 40, 1) is None
    assert stats.final_look([-math.inf if each % 2 else 0.0 for each in range(40)], 1) is None


@given(st.lists(st.tuples(costs, costs), min_size=1, max_size=40))
def test_exchanging_the_two_gives_the_reciprocal(pairs: list[tuple[float, float]]) -> None:
    a, b = ({i: pair[side] for i, pair in enumerate(pairs)} for side in (0, 1))
    rounds = [i // 2 for i in range(len(pairs))]
    there, back = (stats.final_look([*stats.log_ratios(*sides, rounds).values()], 1) for sides in ((a, b), (b, a)))
    assert there is not None
    assert back is not None
    assert there.value == pytest.approx(1 / back.value)
    assert there.low == pytest.approx(1 / back.high)
    assert there.high == pytest.approx(1 / back.low)
    opposite = {Verdict.FASTER: Verdict.SLOWER, Verdict.SLOWER: Verdict.FASTER}
    assert stats.verdict(there) is opposite.get(stats.verdict(back), stats.verdict(back))


@given(st.dictionaries(st.integers(0, 30), costs, min_size=1), st.floats(0.01, 100))
def test_units_do_not_matter_to_a_ratio(values: dict[int, float], unit: float) -> None:
    base, rounds = {block: 1.0 + block for block in values}, [*range(31)]
    scaled = ({b: unit * v for b, v in each.items()} for each in (values, base))
    assert stats.log_ratios(*scaled, rounds) == pytest.approx(stats.log_ratios(values, base, rounds), abs=1e-9)
