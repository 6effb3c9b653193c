# SPDX-License-Identifier: BSD-3-Clause
"""Verdicts and intervals on drawn runs, whose truth is known: how often they are wrong, and what they can tell.

A run is drawn as machines give it. A process may be a slow one for its whole life; drift and noise of the machine are
shared by both sides; each side has noise of its own, in which the blocks of one process resemble one another.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import pytest

from allocmark import stats
from allocmark.stats import LOOKS, Estimate, Verdict, final_look, look, verdict

BLOCKS = 2  # of a round


@dataclass(frozen=True)
class Stream:
    """What to draw. ``slow`` is the share of slow processes of either side, which cost ``factor`` times as much."""

    ratio: float = 1.0
    noise: float = 0.01
    slow: float = 0.0
    factor: float = 1.5

    def rounds(self, source: random.Random, n: int) -> tuple[dict[int, float], dict[int, float]]:
        """The costs of the two sides in ``n`` rounds, by block."""
        sides: tuple[dict[int, float], dict[int, float]] = {}, {}
        level, gauss = 0.0, source.gauss
        for number in range(n):
            level += gauss(0, 0.02)
            shared = [level + gauss(0, 0.05) for _ in range(BLOCKS)]
            for side, cost in zip(sides, (self.ratio, 1.0), strict=True):
                mode = self.factor if source.random() < self.slow else 1.0
                own = math.log(cost * mode) + gauss(0, self.noise)
                for i, each in enumerate(shared, BLOCKS * number):
                    side[i] = math.exp(own + each + gauss(0, self.noise / 4))
        return sides

    def logs(self, source: random.Random, n: int = LOOKS[-1]) -> list[float]:
        """ln of the ratio of the two sides, by round."""
        return [*stats.log_ratios(*self.rounds(source, n), [i // BLOCKS for i in range(BLOCKS * n)]).values()]


MODES = [(0.0, 1.5), (0.1, 1.3), (0.1, 2.0), (0.35, 1.3), (0.35, 2.0)]


def seen(logs: list[float], ratios: int) -> list[Estimate]:
    """What a run looks at on its way, when it ends with the last of ``logs``."""
    return [found for n in (*LOOKS, len(logs)) if n <= len(logs) and (found := final_look(logs[:n], ratios))]


def told(logs: list[float], ratios: int) -> Verdict:
    """The verdict of a run that ends at the first look that tells."""
    for n in LOOKS:
        if (said := verdict(look(logs[:n], ratios))) is not Verdict.CANNOT_TELL:
            return said
    return said


def missed(found: list[Estimate], truth: float) -> bool:
    return not all(each.low <= truth <= each.high for each in found if each.covered)


def test_all_intervals_of_a_run_hold_at_all_looks() -> None:
    source = random.Random(1)
    streams = [Stream(1 + 0.01 * i, 0.01, *MODES[i % len(MODES)]) for i in range(10)]
    wrong = sum(any(missed(seen(each.logs(source), 10), each.ratio) for each in streams) for _ in range(250))
    assert wrong <= 0.01 * 250


@pytest.mark.parametrize(("ratios", "least", "most"), [(40, 0.0, 0.01), (1, 0.03, 1.0)])
def test_the_error_is_divided_among_the_ratios(ratios: int, least: float, most: float) -> None:
    """Forty comparisons: undivided, several times as many runs as allowed would have a wrong one."""
    source = random.Random(2)
    logs = [[[source.gauss(0, 1) for _ in range(LOOKS[-1])] for _ in range(40)] for _ in range(150)]
    wrong = sum(any(missed(seen(each, ratios), 1.0) for each in run) for run in logs)
    assert least * 150 <= wrong <= most * 150


def test_the_error_is_divided_among_the_looks() -> None:
    source = random.Random(3)
    runs = [[source.gauss(0, 1) for _ in range(LOOKS[-1])] for _ in range(2000)]
    assert sum(missed(seen(each, 1), 1.0) for each in runs) <= stats.ERROR * 2000
    assert sum(missed([_undivided(each[:n]) for n in LOOKS], 1.0) for each in runs) > 1.5 * stats.ERROR * 2000


def _undivided(logs: list[float]) -> Estimate:
    rank, ordered = stats.order_rank(len(logs), stats.ERROR), sorted(logs)
    return Estimate(1.0, math.exp(ordered[rank - 1]), math.exp(ordered[-rank]), len(logs), covered=True)


def test_the_unit_is_a_round_and_never_a_block() -> None:
    """Blocks of one process are slow together: as units, they would tell equal costs apart."""
    source = random.Random(3)
    stream = Stream(slow=0.35, factor=1.5)
    alarms = {Verdict.FASTER, Verdict.SLOWER}
    by_round = by_block = 0
    for _ in range(400):
        mine, base = stream.rounds(source, LOOKS[-1])
        by_round += told([*stats.log_ratios(mine, base, [i // BLOCKS for i in mine]).values()], 1) in alarms
        by_block += told([*stats.log_ratios(mine, base, [*mine]).values()], 1) in alarms
    assert by_round <= 0.01 * 400
    assert by_block >= 0.03 * 400


@pytest.mark.parametrize(("slow", "factor"), MODES)
@pytest.mark.parametrize("ratio", [1.0, 1.03, 1.1])
def test_repeated_runs_do_not_contradict_one_another(ratio: float, slow: float, factor: float) -> None:
    source = random.Random(4)
    said = {told(Stream(ratio, 0.01, slow, factor).logs(source), 10) for _ in range(60)}
    assert Verdict.FASTER not in said
    assert not {Verdict.SAME, Verdict.SLOWER} <= said


@pytest.mark.parametrize(
    ("noise", "ratio", "least"),
    [(0.01, 1.02, 0.4), (0.01, 1.05, 0.99), (0.01, 1.1, 0.99), (0.03, 1.05, 0.75), (0.03, 1.1, 0.99)],
)
def test_power(noise: float, ratio: float, least: float) -> None:
    source = random.Random(5)
    for wanted, truth in ((Verdict.SLOWER, ratio), (Verdict.FASTER, 1 / ratio)):
        said = [told(Stream(truth, noise).logs(source), 10) for _ in range(100)]
        assert said.count(wanted) >= least * len(said)


def test_equal_costs_are_called_the_same() -> None:
    source = random.Random(6)
    said = [told(Stream(noise=0.01).logs(source), 10) for _ in range(100)]
    assert said.count(Verdict.SAME) >= 0.95 * 100


def test_ten_percent_are_told_although_processes_differ_by_half() -> None:
    source = random.Random(7)
    said = [told(Stream(1.1, 0.01, 0.1, 1.5).logs(source), 10) for _ in range(100)]
    assert said.count(Verdict.SLOWER) >= 0.95 * 100


@pytest.mark.parametrize(("slow", "factor"), MODES)
def test_the_interval_of_a_cells_median_holds(slow: float, factor: float) -> None:
    """Over processes: here the machine does not drift, as it would then have no one median."""
    source = random.Random(8)
    noise = 0.02
    truth = stats.median(_process(source, noise, slow, factor) for _ in range(20_001))
    runs = 600
    found = [
        stats.estimate([_process(source, noise, slow, factor) for _ in range(LOOKS[0])], stats.MEDIAN_CONFIDENCE)
        for _ in range(runs)
    ]
    assert all(each.covered for each in found)
    assert sum(each.low <= truth <= each.high for each in found) >= 0.94 * runs


def _process(source: random.Random, noise: float, slow: float, factor: float) -> float:
    return (factor if source.random() < slow else 1.0) * math.exp(source.gauss(0, noise))


def test_without_pairing_the_drift_would_hide_it() -> None:
    """What the pairing is for: the same rounds, compared as two separate medians."""
    sides = Stream(1.05).rounds(random.Random(9), 20)
    new, old = (stats.estimate([*side.values()], stats.RATIO_CONFIDENCE) for side in sides)
    assert verdict(stats.unpaired_ratio(new, old), stats.UNPAIRED_MARGIN) is Verdict.CANNOT_TELL
