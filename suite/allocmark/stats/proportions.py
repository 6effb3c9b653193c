# SPDX-License-Identifier: BSD-3-Clause
"""How often something happens, from how often it happened."""

from __future__ import annotations

import math
from collections.abc import Callable

ONE_SIDED = 0.05  #: the error of each of the two bounds
MISSED = 0.01  #: the chance that `one_in` is wrong


def share_bounds(found: int, n: int) -> tuple[float, float]:
    """The smallest and the largest true share with which ``found`` of ``n`` is no surprise: each bound is one-sided,
    with 95 % confidence.

    Source: C. J. Clopper and E. S. Pearson, Biometrika 26, 1934; exact for any n. (0, 1) where n is 0.
    """
    low = 0.0 if found == 0 else _solve(lambda share: 1 - _at_most(found - 1, n, share) - ONE_SIDED)
    high = 1.0 if found == n else _solve(lambda share: ONE_SIDED - _at_most(found, n, share))
    return low, high


def one_in(tries: int) -> int:
    """What happens in one of so many tries, at random, happens in ``tries`` with 99 %; 0: there were none.

    In a share p of all tries, it misses all of them with (1 - p) ** tries.
    """
    return int(1 / (1 - MISSED ** (1 / tries))) if tries else 0


def _at_most(k: int, n: int, share: float) -> float:
    """The probability of at most ``k`` of ``n``."""
    return math.fsum(math.comb(n, i) * share**i * (1 - share) ** (n - i) for i in range(k + 1))


def _solve(rising: Callable[[float], float]) -> float:
    """Where a function that rises from below 0 to above it, between 0 and 1, is 0."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2
