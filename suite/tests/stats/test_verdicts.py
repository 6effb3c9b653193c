# SPDX-License-Identifier: BSD-3-Clause
"""What a ratio is called; and, on drawn streams, how often that is wrong."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from allocmark import stats
from allocmark.stats import Estimate, Verdict


def ratio(value: float, low: float, high: float, covered: bool = True) -> Estimate:
    return Estimate(value, low, high, 20, covered)


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


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.97, 0.99, Verdict.FASTER),
        (0.99, 1.01, Verdict.SAME),
        (1.006, 1.019, Verdict.SAME),  # slower, and less than what must not pass
        (1.006, 1.03, Verdict.SLOWER),
        (1.004, 1.03, Verdict.CANNOT_TELL),
        (0.9, 1.1, Verdict.CANNOT_TELL),
    ],
)
def test_gate_verdict(low: float, high: float, said: Verdict) -> None:
    assert stats.gate_verdict(ratio((low + high) / 2, low, high), 0.02) is said


# Streams as a shared machine gives them: a common drift and a common jump, and for each backend noise of its own,
# with neighbours that resemble one another (rho) and outliers upwards, as interrupts make.


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
