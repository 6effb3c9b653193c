# SPDX-License-Identifier: BSD-3-Clause
"""What a ratio of costs means: faster, slower, same or cannot tell.

docs/how-are-the-numbers-made.md explains the choices.
"""

from __future__ import annotations

import enum

from allocmark.stats.estimates import Estimate

MARGIN = 0.02  #: within one run, a ratio nearer to 1 is never faster or slower
UNPAIRED_MARGIN = 0.05  #: the same between runs, which had other processes, pages and hours


class Verdict(enum.StrEnum):
    """What a ratio says about a cell, as it is printed."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "same"
    CANNOT_TELL = "cannot tell"


def verdict(ratio: Estimate | None, margin: float = MARGIN) -> Verdict:
    """What a ratio of costs says, new / old; ``margin`` 0.02 is 2 %.

    Faster or slower: the whole interval lies on one side of 1, and the ratio itself beyond the margin. Same: the whole
    interval lies within the margin. Cannot tell: anything else, also too few rounds.
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


def smallest_seen(ratio: Estimate | None) -> float | None:
    """The smallest difference that so wide an interval would have told from none, as a share; None without one.

    That is its longer arm, and never less than `MARGIN`.
    """
    if ratio is None or not ratio.covered:
        return None
    return max(ratio.high / ratio.value - 1, ratio.value / ratio.low - 1, MARGIN)


def gate_verdict(ratio: Estimate | None, limit: float) -> Verdict:
    """What a ratio of costs says when a slowdown of ``limit`` (0.02 is 2 %) must not pass.

    Faster: the whole interval lies below 1. Same: below 1 + limit. Slower: above 1 + limit / 4: so much can come from
    where a linker put the code. A true ratio between these two bounds gets the verdict that is certain first.
    """
    if ratio is None or not ratio.covered:
        return Verdict.CANNOT_TELL
    if ratio.high < 1 + limit:
        return Verdict.FASTER if ratio.high < 1 else Verdict.SAME
    return Verdict.SLOWER if ratio.low > 1 + limit / 4 else Verdict.CANNOT_TELL
