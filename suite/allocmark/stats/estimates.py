# SPDX-License-Identifier: BSD-3-Clause
"""Medians, their intervals, and ratios; docs/how-are-the-numbers-made.md explains the choices."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

MEDIAN_CONFIDENCE = 0.95  #: of the interval of a cell's median
RATIO_CONFIDENCE = 0.99  #: of the intervals of all ratios of a run, or of a gate, together

_MOST_AUTOCORRELATION = 0.8  # a steady climb comes near 1, where the correction means nothing


@dataclass(frozen=True)
class Estimate:
    """A median or a ratio over ``n`` rounds, and its interval from ``low`` to ``high``.

    ``covered`` is False when there are too few rounds for the confidence asked: ``low`` and ``high`` are then the
    smallest and the largest value.
    """

    value: float
    low: float
    high: float
    n: int
    covered: bool


def median(values: Iterable[float]) -> float:
    """The middle value, or the mean of the two middle ones. ValueError when there is none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("the median of nothing")
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


@lru_cache(maxsize=1024)
def order_rank(n: int, error: float) -> int:
    """The rank k (from 1) for which the k-th smallest and k-th largest of n values enclose the median.

    It is the largest k that misses with a probability of at most ``error``: 2 P(B < k) with B binomial (n, 1/2),
    whatever the distribution; 0 when n is too small for any. Source: W. J. Conover, Practical Nonparametric
    Statistics, 3rd ed., section 3.2 (interval of a quantile); inverting the sign test gives the same.
    """
    # In whole numbers: 2^n soon exceeds every float.
    allowed = (round(error * 1e15) << n) // (2 * 10**15)
    below, term, k = 0, 1, 0
    while below + term <= allowed:
        below += term
        term = term * (n - k) // (k + 1)
        k += 1
    return k


def rank_autocorrelation(values: Sequence[float]) -> float:
    """How much each value resembles the next, from -1 to 1; 0 for fewer than 3 values, or when all are equal.

    The autocorrelation at lag 1 of the ranks: an outlier changes a rank only a little. (The serial form of Spearman's
    coefficient; A. Wald and J. Wolfowitz, Annals of Mathematical Statistics 14, 1943.)
    """
    ordered = sorted(values)
    middle = (len(values) - 1) / 2
    ranks = [(bisect_left(ordered, v) + bisect_right(ordered, v) - 1) / 2 - middle for v in values]
    power = sum(r * r for r in ranks)
    if len(values) < 3 or power == 0:
        return 0.0
    return sum(a * b for a, b in pairwise(ranks)) / power


def estimate(values: Sequence[float], confidence: float) -> Estimate:
    """The median of ``values``, which are in the order of time, with its order-statistic interval; see `order_rank`.

    Where neighbours resemble one another (autocorrelation r > 0), n values are worth only n(1-r)/(1+r)
    independent ones (G. V. Bayley and J. M. Hammersley, J. R. Statist. Soc. Suppl. 8, 1946, for a
    process of the first order), so the interval's arms are lengthened by the square root of the inverse. Raises
    ValueError for no values.
    """
    n, middle = len(values), median(values)
    ordered = sorted(values)
    rank = order_rank(n, 1 - confidence)
    if rank == 0:
        return Estimate(middle, ordered[0], ordered[-1], n, covered=False)
    r = min(max(rank_autocorrelation(values), 0.0), _MOST_AUTOCORRELATION)
    stretch = math.sqrt((1 + r) / (1 - r))
    low = middle - stretch * (middle - ordered[rank - 1])
    high = middle + stretch * (ordered[n - rank] - middle)
    return Estimate(middle, low, high, n, covered=True)


def geometric_mean(ratios: Sequence[Estimate]) -> Estimate | None:
    """The geometric mean of independent ratios, each with an interval of `RATIO_CONFIDENCE`; None for no ratio.

    Its interval, of the same confidence, covers the noise of these cells, and says nothing about other workloads. It
    adds up the squared errors of the logarithms, each taken from the longer arm of its interval. ``n`` counts ratios.
    """
    if not ratios:
        return None
    n = len(ratios)
    middle = sum(math.log(ratio.value) for ratio in ratios) / n
    arms = [max(math.log(r.value / r.low), math.log(r.high / r.value)) for r in ratios]
    arm = math.sqrt(sum(each * each for each in arms)) / n
    covered = all(ratio.covered for ratio in ratios)
    return Estimate(math.exp(middle), math.exp(middle - arm), math.exp(middle + arm), n, covered)


def unpaired_ratio(new: Estimate, old: Estimate) -> Estimate | None:
    """The ratio of two medians that were measured apart: ``low`` is new.low / old.high, ``high`` new.high / old.low.

    The true ratio can lie outside only when one of the two intervals misses (Bonferroni). So it is wider than a paired
    interval, and excludes 1 exactly when the two do not overlap. None when a lower end is not above 0.
    """
    if new.low <= 0 or old.low <= 0:
        return None
    covered = new.covered and old.covered
    return Estimate(new.value / old.value, new.low / old.high, new.high / old.low, min(new.n, old.n), covered)
