# SPDX-License-Identifier: BSD-3-Clause
"""What a ratio is called, and the smallest difference that was told."""

from __future__ import annotations

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


@pytest.mark.parametrize(
    ("estimate", "seen"),
    [
        (ratio(1.0, 0.95, 1.04), 1 / 0.95 - 1),  # the longer arm, by factors
        (ratio(2.0, 1.95, 2.2), 0.1),
        (ratio(1.0, 0.999, 1.001), stats.MARGIN),  # nothing nearer is called different
        (ratio(1.0, 0.9, 1.1, covered=False), None),
        (None, None),
    ],
)
def test_the_smallest_difference_that_was_told(estimate: Estimate | None, seen: float | None) -> None:
    assert stats.smallest_seen(estimate) == pytest.approx(seen)
