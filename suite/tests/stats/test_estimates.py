# SPDX-License-Identifier: BSD-3-Clause
"""Medians, intervals and ratios: known answers, properties, and how often an interval misses on drawn values."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocmark import stats
from allocmark.stats import Estimate, Verdict

costs = st.floats(1e-3, 1e6)
series = st.lists(costs, min_size=1, max_size=60)


# Known answers


@pytest.mark.parametrize(("values", "middle"), [([3.0], 3.0), ([1.0, 9.0, 2.0], 2.0), ([4.0, 1.0, 3.0, 2.0], 2.5)])
def test_median(values: list[float], middle: float) -> None:
    assert stats.median(values) == middle


def test_the_median_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing"):
        stats.median([])


@pytest.mark.parametrize(
    ("n", "confidence", "rank"),
    # As in printed tables of the sign test: of 10 values the 2nd and 9th (97.9 %), of 20 the 6th and 15th.
    [
        (0, 0.95, 0),
        (1, 0.5, 0),
        (5, 0.95, 0),
        (6, 0.95, 1),
        (10, 0.95, 2),
        (20, 0.95, 6),
        (50, 0.95, 18),
        (7, 0.99, 0),
        (8, 0.99, 1),
        (20, 0.99, 4),
        (50, 0.99, 16),
    ],
)
def test_order_rank(n: int, confidence: float, rank: int) -> None:
    assert stats.order_rank(n, 1 - confidence) == rank


def test_order_rank_of_many_values_is_that_of_the_normal_distribution() -> None:
    n = 10_000
    assert stats.order_rank(n, 0.05) == pytest.approx(n / 2 - 1.96 * math.sqrt(n) / 2, abs=2)


def test_rank_autocorrelation() -> None:
    assert stats.rank_autocorrelation([5.0] * 9) == 0
    assert stats.rank_autocorrelation([1.0, 2.0]) == 0
    assert stats.rank_autocorrelation(range(100)) > 0.95
    assert stats.rank_autocorrelation([1.0, 2.0] * 50) < -0.95
    assert stats.rank_autocorrelation([1.0, 2.0, 3.0]) == 0  # ranks -1, 0, 1


def test_estimate_takes_the_order_statistics() -> None:
    shuffled = [4.0, 9.0, 1.0, 7.0, 2.0, 10.0, 3.0, 8.0, 5.0, 6.0]
    assert stats.rank_autocorrelation(shuffled) < 0
    assert stats.estimate(shuffled, 0.95) == Estimate(5.5, 2.0, 9.0, 10, True)


def test_too_few_values_give_their_range_and_say_so() -> None:
    assert stats.estimate([3.0, 1.0, 2.0], 0.95) == Estimate(2.0, 1.0, 3.0, 3, False)


def test_neighbours_that_are_alike_widen_the_interval() -> None:
    mixed, climbing = [1.0, 3.0, 2.0, 4.0] * 5, [1.0] * 5 + [2.0] * 5 + [3.0] * 5 + [4.0] * 5
    wide, narrow = stats.estimate(climbing, 0.95), stats.estimate(mixed, 0.95)
    assert wide.value == narrow.value
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_unpaired_ratio_excludes_1_exactly_when_the_intervals_do_not_overlap() -> None:
    old = Estimate(10.0, 9.0, 11.0, 20, True)
    apart, touching = Estimate(13.0, 12.0, 14.0, 20, True), Estimate(12.0, 10.5, 14.0, 20, True)
    found = stats.unpaired_ratio(apart, old)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((1.3, 12 / 11, 14 / 9))
    assert stats.verdict(found, stats.UNPAIRED_MARGIN) is Verdict.SLOWER
    assert stats.verdict(stats.unpaired_ratio(touching, old), stats.UNPAIRED_MARGIN) is Verdict.CANNOT_TELL
    assert stats.unpaired_ratio(old, Estimate(1.0, -0.5, 2.0, 20, True)) is None


# Properties


@given(series, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_an_interval_encloses_its_median(values: list[float], confidence: float) -> None:
    found = stats.estimate(values, confidence)
    assert found.low <= found.value <= found.high
    assert found.value == stats.median(values)


@given(series)
def test_more_confidence_never_narrows(values: list[float]) -> None:
    wide, narrow = stats.estimate(values, 0.99), stats.estimate(values, 0.9)
    if wide.covered:
        assert wide.low <= narrow.low
        assert wide.high >= narrow.high


@given(st.integers(1, 400), st.sampled_from([0.9, 0.95, 0.99]))
def test_the_rank_is_the_largest_that_covers(n: int, confidence: float) -> None:
    def coverage(rank: int) -> float:
        return 1 - 2 * sum(math.comb(n, k) for k in range(rank)) / 2**n

    rank = stats.order_rank(n, 1 - confidence)
    assert rank == 0 or coverage(rank) >= confidence - 1e-9
    assert coverage(rank + 1) < confidence


@pytest.mark.parametrize(
    "draw", [lambda r: r.gauss(10, 1), lambda r: r.lognormvariate(0, 1), lambda r: r.expovariate(1)]
)
def test_the_interval_of_a_median_covers_as_often_as_it_says(draw: Callable[[random.Random], float]) -> None:
    rng = random.Random(5)
    truth = stats.median([draw(random.Random(seed)) for seed in range(20_001)])
    times = 2000
    hits = 0
    for _ in range(times):
        found = stats.estimate([draw(rng) for _ in range(15)], 0.95)
        hits += found.low <= truth <= found.high
    assert hits / times >= 0.94


def test_a_geometric_mean_covers_as_often_as_it_says() -> None:
    rng = random.Random(11)
    truth = [0.5, 0.9, 1.1, 0.25, 2.0, 0.6]
    wanted = math.exp(sum(map(math.log, truth)) / len(truth))
    times, hits, arms = 400, 0, []
    for _ in range(times):
        ratios = []
        for each in truth:
            logs = [math.log(each) + rng.gauss(0, 0.05 * math.sqrt(2)) for _ in range(20)]
            ratios.append(stats.final_look(logs, 1))
        found = stats.geometric_mean(ratios)
        assert found is not None
        assert (found.n, found.covered) == (6, True)
        hits += found.low <= wanted <= found.high
        arms.append(found.high / found.value)
    assert hits / times >= 0.985
    assert stats.median(arms) < 1.07  # an arm of one of its ratios is about 1.08: it gains by the number of them
    assert stats.geometric_mean([]) is None
    few = stats.final_look([0.7], 1)
    assert few is not None
    assert stats.geometric_mean([few]).covered is False
