# SPDX-License-Identifier: BSD-3-Clause
"""The ratio of two costs while rounds are still being added, with an interval that stays valid at every look.

A round's log ratio is ln(cost / cost of the other), from one fresh process per side. Rounds are independent of one
another, so the sign test's interval for their median needs nothing else: no symmetry, no normal noise, and processes
may fall into slow and fast ones. It is computed only after `LOOKS` rounds and at the end, and the allowed `ERROR` is
divided among all looks and all ratios (Bonferroni): neither more looks nor more ratios raise the number of false
verdicts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count

from allocmark.stats.estimates import RATIO_CONFIDENCE, Estimate, median, order_rank

LOOKS = (12, 18, 27, 40, 60)  #: the numbers of rounds at which to look, each 1.5 times the one before
ERROR = 1 - RATIO_CONFIDENCE  #: the share of runs in which some interval may miss its true ratio at some look


def look(logs: Sequence[float], ratios: int) -> Estimate | None:
    """The ratio at the last of `LOOKS` that ``logs`` reach, None before the first; ``ratios`` share the `ERROR`."""
    n = max((n for n in LOOKS if n <= len(logs)), default=0)
    return final_look(logs[:n], ratios)


def final_look(logs: Sequence[float], ratios: int) -> Estimate | None:
    """The ratio over all ``logs``, when no more are to come; None without any.

    An infinite log ratio, of a net cost of 0 or less, ranks beyond all others. None when such a rank reaches the median
    or an end of the interval.
    """
    n = len(logs)
    if n == 0:
        return None
    ordered = sorted(logs)
    rank = _rank(n, ratios)
    ends = (ordered[rank - 1], ordered[-rank]) if rank else (ordered[0], ordered[-1])
    found = (median(ordered), *ends)
    if not all(map(math.isfinite, found)):
        return None
    value, low, high = map(math.exp, found)
    return Estimate(value, low, high, n, covered=rank > 0)


def least_rounds(ratios: int) -> int:
    """With fewer rounds none of so many ``ratios`` has an interval, and so none a verdict."""
    return next(n for n in count(1) if _rank(n, ratios))


def _rank(n: int, ratios: int) -> int:
    # Every look and the end have an equal part of the error.
    return order_rank(n, ERROR / (ratios * (len(LOOKS) + 1)))
