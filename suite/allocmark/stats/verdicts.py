# SPDX-License-Identifier: BSD-3-Clause
"""What a ratio of costs says, in one word. Pure functions; docs/how-are-the-numbers-made.md explains the choices."""

from __future__ import annotations

import enum

from allocmark.stats.estimates import Estimate

MARGIN = 0.02  #: ratios nearer to 1 are called the same, when they are compared within one run
UNPAIRED_MARGIN = 0.05  #: the same, across runs: other processes, other pages, another hour


class Verdict(enum.StrEnum):
    """What a ratio says about a cell, in words."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "same"
    CANNOT_TELL = "cannot tell"


def verdict(ratio: Estimate | None, margin: float = MARGIN) -> Verdict:
    """What a ratio of costs says; a ratio below 1 is cheaper.

    Faster or slower: the whole interval lies on one side of 1, and the ratio itself beyond the margin.
    Same: the whole interval lies within the margin. Cannot tell: everything else, too few blocks included.
    """
    if ratio is None or not ratio.covered:
        return Verdict.CANNOT_TELL
    if ratio.high < 1 and ratio.value * (1 + margin) < 1:
        return Verdict.FASTER
    if ratio.low > 1 and ratio.value > 1 + margin:
        return Verdict.SLOWER
    if ratio.low * (1 + margin) >= 1 and ratio.high <= 1 + margin:
        return Verdict.SAME
    return Verdict.CANNOT_TELL


def gate_verdict(ratio: Estimate | None, limit: float) -> Verdict:
    """What ``ratio`` says, when a slowdown of ``limit`` (0.02 is 2 %) must not pass.

    Slower: the whole interval lies above a quarter of the limit, for so much may come from where a linker put the code.
    Same: it lies below the limit; faster: below 1. A ratio between the two bounds gets what is certain first.
    """
    if ratio is None or not ratio.covered:
        return Verdict.CANNOT_TELL
    if ratio.high < 1 + limit:
        return Verdict.FASTER if ratio.high < 1 else Verdict.SAME
    return Verdict.SLOWER if ratio.low > 1 + limit / 4 else Verdict.CANNOT_TELL
