# SPDX-License-Identifier: BSD-3-Clause
"""The statistics: known answers, properties, and the meter itself put to the test on drawn streams."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocmark import stats
from allocmark.results.records import Block
from allocmark.stats import Estimate, Verdict

costs = st.floats(1e-3, 1e6)
series = st.lists(costs, min_size=1, max_size=60)


def ratio(value: float, low: float, high: float, covered: bool = True) -> Estimate:
    return Estimate(value, low, high, 20, covered)


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
    assert stats.order_rank(n, confidence) == rank


def test_order_rank_of_many_values_is_that_of_the_normal_distribution() -> None:
    n = 10_000
    assert stats.order_rank(n, 0.95) == pytest.approx(n / 2 - 1.96 * math.sqrt(n) / 2, abs=2)


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


def test_block_medians() -> None:
    samples, blocks = [5.0, 1.0, 2.0, 30.0, 7.0], [0, 1, 1, 1, 2]
    assert stats.block_medians(samples, blocks, {0, 1}) == {0: 5.0, 1: 2.0}


def test_net_pairs_blocks_and_keeps_what_is_below_the_floor() -> None:
    assert stats.net({0: 5.0, 1: 1.0, 2: 4.0}, {0: 2.0, 1: 1.5}) == {0: 3.0, 1: -0.5}


def test_paired_ratio_removes_what_both_share() -> None:
    baseline = {block: 10.0 * (1 + block) for block in range(12)}
    found = stats.paired_ratio({b: 1.25 * v for b, v in baseline.items()}, baseline)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((1.25, 1.25, 1.25))
    assert found.n == 12


def test_paired_ratio_uses_shared_blocks_only() -> None:
    found = stats.paired_ratio({0: 2.0, 1: 2.0, 5: 100.0}, {0: 1.0, 1: 1.0, 9: 1.0})
    assert found == Estimate(2.0, 2.0, 2.0, 2, False)
    assert stats.paired_ratio({0: 1.0}, {1: 1.0}) is None


@pytest.mark.parametrize(("own", "base"), [(0.0, 1.0), (-1.0, 1.0), (1.0, 0.0), (1.0, -2.0)])
def test_what_is_not_above_the_floor_has_no_ratio(own: float, base: float) -> None:
    assert stats.paired_ratio({0: 1.0, 1: own}, {0: 1.0, 1: base}) is None


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        (ratio(1.10, 1.05, 1.15), Verdict.SLOWER),
        (ratio(0.90, 0.85, 0.95), Verdict.FASTER),
        (ratio(1.00, 0.99, 1.01), Verdict.SAME),
        (ratio(1.01, 1.005, 1.015), Verdict.SAME),  # not 1, and too near to matter
        (ratio(1.01, 1.005, 1.030), Verdict.CANNOT_TELL),
        (ratio(1.10, 0.99, 1.20), Verdict.CANNOT_TELL),
        (ratio(2.00, 1.90, 2.10, covered=False), Verdict.CANNOT_TELL),
        (None, Verdict.CANNOT_TELL),
    ],
)
def test_verdict(estimate: Estimate | None, said: Verdict) -> None:
    assert stats.verdict(estimate) is said


def test_unpaired_ratio_excludes_1_exactly_when_the_intervals_do_not_overlap() -> None:
    old = ratio(10.0, 9.0, 11.0)
    apart, touching = ratio(13.0, 12.0, 14.0), ratio(12.0, 10.5, 14.0)
    found = stats.unpaired_ratio(apart, old)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((1.3, 12 / 11, 14 / 9))
    assert stats.verdict(found, stats.UNPAIRED_MARGIN) is Verdict.SLOWER
    assert stats.verdict(stats.unpaired_ratio(touching, old), stats.UNPAIRED_MARGIN) is Verdict.CANNOT_TELL
    assert stats.unpaired_ratio(old, ratio(1.0, -0.5, 2.0)) is None


# Distances


def blocks(*distances: float | None, changed: tuple[int, ...] = ()) -> list[Block]:
    return [Block(ns, index in changed) for index, ns in enumerate(distances)]


def test_one_core_has_no_distance_and_keeps_every_block() -> None:
    found = stats.dominant_distance(blocks(None, None, None))
    assert (found.ns, found.kept, found.changed, found.other) == (None, {0, 1, 2}, 0, 0)


def test_the_commonest_distance_is_kept() -> None:
    found = stats.dominant_distance(blocks(600.0, 58.0, 60.0, 590.0, 57.0, 61.0, changed=(5,)))
    assert (found.ns, found.kept, found.changed, found.other) == (58.0, {1, 2, 4}, 1, 2)


def test_a_far_distance_is_kept_when_it_is_the_commonest() -> None:
    assert stats.dominant_distance(blocks(600.0, 58.0, 610.0)).kept == {0, 2}


def test_of_two_equally_common_distances_the_nearer_is_kept() -> None:
    assert stats.dominant_distance(blocks(600.0, 58.0, 610.0, 59.0)).kept == {1, 3}


def test_a_block_whose_distance_is_not_known_is_not_kept_among_those_that_are() -> None:
    found = stats.dominant_distance(blocks(58.0, None, 60.0))
    assert (found.kept, found.other) == ({0, 2}, 1)


def test_nothing_is_left_when_every_block_changed() -> None:
    found = stats.dominant_distance(blocks(58.0, 60.0, changed=(0, 1)))
    assert (found.ns, found.kept, found.changed) == (None, frozenset(), 2)


@given(st.lists(st.tuples(st.floats(1, 2000), st.booleans()), max_size=30))
def test_every_block_is_kept_or_counted(drawn: list[tuple[float, bool]]) -> None:
    given_blocks = [Block(ns, moved) for ns, moved in drawn]
    found = stats.dominant_distance(given_blocks)
    assert len(found.kept) + found.changed + found.other == len(drawn)
    assert not any(given_blocks[index].changed for index in found.kept)
    kept = [given_blocks[index].distance_ns or 0.0 for index in found.kept]
    # Each lies within a quarter of one centre.
    assert not kept or max(kept) <= min(kept) * 1.25**2 * (1 + 1e-9)


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

    rank = stats.order_rank(n, confidence)
    assert rank == 0 or coverage(rank) >= confidence - 1e-9
    assert coverage(rank + 1) < confidence


@given(st.lists(st.tuples(costs, costs), min_size=1, max_size=40))
def test_exchanging_the_two_gives_the_reciprocal(pairs: list[tuple[float, float]]) -> None:
    a, b = ({i: pair[side] for i, pair in enumerate(pairs)} for side in (0, 1))
    there, back = stats.paired_ratio(a, b), stats.paired_ratio(b, a)
    assert there is not None
    assert back is not None
    assert there.value == pytest.approx(1 / back.value)
    assert there.low == pytest.approx(1 / back.high)
    assert there.high == pytest.approx(1 / back.low)
    opposite = {Verdict.FASTER: Verdict.SLOWER, Verdict.SLOWER: Verdict.FASTER}
    assert stats.verdict(there) is opposite.get(stats.verdict(back), stats.verdict(back))


@given(st.dictionaries(st.integers(0, 30), costs, min_size=1), st.floats(0.01, 100))
def test_units_do_not_matter_to_a_ratio(values: dict[int, float], unit: float) -> None:
    base = {block: 1.0 + block for block in values}
    one = stats.paired_ratio(values, base)
    other = stats.paired_ratio({b: unit * v for b, v in values.items()}, {b: unit * v for b, v in base.items()})
    assert one is not None
    assert other is not None
    assert other.value == pytest.approx(one.value)


# The meter. Streams as a shared machine gives them: a common drift and a common jump, and for each backend
# noise of its own, with neighbours that resemble one another (rho) and outliers upwards, as interrupts make.


def stream(rng: random.Random, blocks: int, rho: float, noise: float) -> list[float]:
    state, found = rng.gauss(0, 1), []
    for _ in range(blocks):
        state = rho * state + math.sqrt(1 - rho * rho) * rng.gauss(0, 1)
        outlier = rng.expovariate(5) if rng.random() < 0.05 else 0.0
        found.append(noise * state + outlier)
    return found


def verdicts(
    slower: float, blocks: int = 20, rho: float = 0.0, noise: float = 0.01, times: int = 2000
) -> list[Verdict]:
    rng = random.Random(20250131)
    said = []
    for _ in range(times):
        common = [0.2 * math.sin(block / 7) + (0.7 if block > 12 else 0.0) for block in range(blocks)]
        pair = [
            {
                b: math.exp(c + own)
                for b, (c, own) in enumerate(zip(common, stream(rng, blocks, rho, noise), strict=True))
            }
            for _ in range(2)
        ]
        said.append(stats.verdict(stats.paired_ratio({b: v * slower for b, v in pair[0].items()}, pair[1])))
    return said


def share(said: list[Verdict], wanted: Callable[[Verdict], bool]) -> float:
    return sum(map(wanted, said)) / len(said)


def is_alarm(verdict: Verdict) -> bool:
    return verdict in (Verdict.FASTER, Verdict.SLOWER)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("blocks", [8, 12, 20, 40])
def test_identical_pairs_raise_no_alarm(blocks: int, rho: float) -> None:
    # The short and strongly autocorrelated is the corner that docs/how-are-the-numbers-made.md tells of.
    allowed = 0.03 if blocks < 12 and rho > 0.5 else 0.01
    assert share(verdicts(1.0, blocks, rho), is_alarm) <= allowed


def test_identical_pairs_of_a_noisy_machine_raise_no_alarm() -> None:
    assert share(verdicts(1.0, noise=0.03), is_alarm) <= 0.01


def test_identical_pairs_are_called_the_same_when_there_are_blocks_enough() -> None:
    assert share(verdicts(1.0, blocks=40), lambda v: v is Verdict.SAME) >= 0.95


@pytest.mark.parametrize(("slower", "wanted"), [(1.05, Verdict.SLOWER), (1 / 1.05, Verdict.FASTER)])
def test_five_percent_is_found(slower: float, wanted: Verdict) -> None:
    assert share(verdicts(slower), lambda v: v is wanted) >= 0.95


def test_without_pairing_the_drift_would_hide_it() -> None:
    # What the pairing is for: the same streams, compared as two separate medians.
    rng = random.Random(1)
    common = [0.2 * math.sin(block / 7) + (0.7 if block > 12 else 0.0) for block in range(20)]
    a, b = ([math.exp(c + o) for c, o in zip(common, stream(rng, 20, 0, 0.01), strict=True)] for _ in range(2))
    old, new = (stats.estimate(v, stats.RATIO_CONFIDENCE) for v in (a, [1.05 * v for v in b]))
    assert stats.verdict(stats.unpaired_ratio(new, old), stats.UNPAIRED_MARGIN) is Verdict.CANNOT_TELL


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


def test_a_net_ratio_survives_blocks_in_which_the_net_fell_below_zero() -> None:
    base = dict.fromkeys(range(40), 1.0)
    mine = {block: 0.5 if block % 8 else -0.1 for block in range(40)}
    ratio = stats.paired_ratio(mine, base)
    assert ratio is not None
    assert ratio.value == pytest.approx(0.5)
    back = stats.paired_ratio(base, mine)
    assert back is not None
    assert back.value == pytest.approx(2)
    assert stats.paired_ratio(dict.fromkeys(range(40), -0.1), base) is None
    assert stats.paired_ratio({block: -0.1 if block % 2 else 0.5 for block in range(40)}, base) is None


def test_a_geometric_mean_covers_as_often_as_it_says() -> None:
    rng = random.Random(11)
    truth = [0.5, 0.9, 1.1, 0.25, 2.0, 0.6]
    wanted = math.exp(sum(map(math.log, truth)) / len(truth))
    times, hits, arms = 400, 0, []
    for _ in range(times):
        ratios = []
        for each in truth:
            base = {block: math.exp(rng.gauss(0, 0.05)) for block in range(20)}
            mine = {block: each * math.exp(rng.gauss(0, 0.05)) for block in range(20)}
            ratios.append(stats.paired_ratio(mine, base))
        found = stats.geometric_mean(ratios)
        assert found is not None
        assert (found.n, found.covered) == (6, True)
        hits += found.low <= wanted <= found.high
        arms.append(found.high / found.value)
    assert hits / times >= 0.985
    assert stats.median(arms) < 1.06  # an arm of one of its ratios is about 1.07: it gains by the number of them
    assert stats.geometric_mean([]) is None
    few = stats.paired_ratio({0: 2.0}, {0: 1.0})
    assert few is not None
    assert stats.geometric_mean([few]).covered is False
