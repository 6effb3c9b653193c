# SPDX-License-Identifier: BSD-3-Clause
"""The search for the smallest number that does."""

from __future__ import annotations

from collections.abc import Callable


def smallest(does: Callable[[int], bool], low: int, guess: int, high: int) -> int | None:
    """A number from ``low`` to ``high`` that does, while the one before it does not, or is below ``low``.

    ``guess`` is tried early: a good one saves trials. None when ``high`` does not do.
    """
    if does(low):
        return low
    good, bad, step = None, low, 1
    if low < guess < high:
        if does(guess):
            good = guess
            if not does(guess - 1):
                return guess
            good = guess - 1
        else:
            bad = guess
    while good is None:
        if bad == high:
            return None
        tried = min(bad + step, high)
        good, bad = (tried, bad) if does(tried) else (None, tried)
        step *= 2
    while good - bad > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if does(middle) else (good, middle)
    return good
