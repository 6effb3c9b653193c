# SPDX-License-Identifier: BSD-3-Clause
"""The ratio of two sides while rounds are still being added, with an interval that stays valid at every look.

A round's log ratio is ln(cost of head / cost of base), from one process per side. When both sides are the same program,
exchanging them changes nothing, so its distribution is symmetric about 0 whatever the machine does. The signed-rank
interval needs no more than that. It is computed only after `LOOKS` rounds, and the allowed `ERROR` is divided among all
looks and all cells (Bonferroni): neither more looks nor more cells raise the number of false verdicts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from allocmark.stats.estimates import Estimate, median

LOOKS = (12, 16, 22, 30, 42, 60)  #: the numbers of rounds at which to look, each about 1.4 times the one before
ERROR = 0.01  #: the share of gates in which some interval may miss its true ratio at some look


def look(logs: Sequence[float], cells: int) -> Estimate | None:
    """The ratio at the last of `LOOKS` that ``logs`` reach, None before the first; ``cells`` share the `ERROR`.

    The Hodges-Lehmann estimate with the interval of Wilcoxon's signed-rank test (M. Hollander and D. A. Wolfe,
    Nonparametric Statistical Methods, sections 3.2 and 3.3).
    """
    n = max((n for n in LOOKS if n <= len(logs)), default=0)
    if n == 0:
        return None
    seen = logs[:n]
    averages = sorted((a + b) / 2 for i, a in enumerate(seen) for b in seen[i:])
    rank = _rank(n, ERROR / (2 * cells * len(LOOKS)))
    low, high = (averages[rank - 1], averages[-rank]) if rank else (averages[0], averages[-1])
    return Estimate(math.exp(median(averages)), math.exp(low), math.exp(high), n, covered=rank > 0)


@lru_cache(maxsize=64)
def _rank(n: int, tail: float) -> int:
    """The largest k for which a signed-rank sum of n falls below k with a probability of at most ``tail``; 0: none."""
    ways = [1]  # ways[i]: in how many of the 2^n choices of signs the positive ranks sum to i
    for rank in range(1, n + 1):
        longer = ways + [0] * rank
        for i, count in enumerate(ways):
            longer[i + rank] += count
        ways = longer
    allowed, below, k = tail * 2.0**n, 0, 0
    while below + ways[k] <= allowed:
        below += ways[k]
        k += 1
    return k
