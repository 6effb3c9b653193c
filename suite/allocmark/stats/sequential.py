# SPDX-License-Identifier: BSD-3-Clause
"""When to stop measuring, and what may be said then. Pure functions over the log ratios of rounds.

A round's log ratio is ln(cost of the new / cost of the old), from one process of each side. Where both sides are the
same program, exchanging them changes nothing, so its distribution is symmetric about 0 whatever the machine does: that
is all that the signed-rank interval asks for. It is looked at only after `LOOKS` rounds, and the error allowed is
shared out over all looks and all cells (Bonferroni), so looking often, and looking at many cells, cost no certainty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from allocmark.stats.estimates import Estimate, median

LOOKS = (12, 16, 22, 30, 42, 60)  #: numbers of rounds, each about 1.4 times the one before
ERROR = 0.01  #: the share of gates in which any interval, at any look, may miss its true ratio


def look(logs: Sequence[float], cells: int) -> Estimate | None:
    """The ratio after the last look that ``logs`` reach, one of ``cells`` that are looked at together.

    The Hodges-Lehmann estimate with the interval of Wilcoxon's signed-rank test (M. Hollander and D. A. Wolfe,
    Nonparametric Statistical Methods, section 3.2 and 3.3). None before the first look.
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
    ways = [1]  # in how many of the 2^n choices of signs the positive ranks sum to i
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
