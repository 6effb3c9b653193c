# SPDX-License-Identifier: BSD-3-Clause
"""Do the processes of a cell fall into two groups, fast ones and slow ones?"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from allocmark.stats.estimates import median

LEAST = 1.1  #: groups are at least this factor apart
CLEAR = 4.0  #: and the gap between them is this many times as wide as the groups are on average


@dataclass(frozen=True)
class Modes:
    """``slow`` of ``n`` processes cost ``factor`` times as much as the others, by their medians."""

    slow: int
    n: int
    factor: float


def modes(values: Iterable[float]) -> Modes | None:
    """The two groups, where a gap separates them; None where costs are one cloud, or too few to tell.

    The values are split at their widest gap, in logarithms. It counts when it is wider than `LEAST`, and wider than
    `CLEAR` times the mean distance of a value from the median of its group.
    """
    logs = sorted(math.log(value) for value in values if value > 0)
    if len(logs) < 3:
        return None
    gap, cut = max((b - a, i) for i, (a, b) in enumerate(pairwise(logs), 1))
    fast, slow = logs[:cut], logs[cut:]
    spread = sum(abs(x - median(group)) for group in (fast, slow) for x in group) / len(logs)
    if gap < math.log(LEAST) or gap < CLEAR * spread:
        return None
    return Modes(len(slow), len(logs), math.exp(median(slow) - median(fast)))
