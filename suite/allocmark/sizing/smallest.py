# SPDX-License-Identifier: BSD-3-Clause
"""The search for the smallest number that does, of several at once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """Where a number is looked for. ``guess`` is tried early: a good one saves trials. It is asked for when ``low`` has
    turned out not to do."""

    low: int
    guess: Callable[[], int]
    high: int


def smallest(fails: Callable[[Sequence[int]], int | None], ranges: Sequence[Range]) -> list[int] | None:
    """Of each range a number that does, while the one before it does not, or is below the range.

    ``fails`` tries a number of each range together and says which of them does not do, by its place; None: all do. None
    when the end of a range does not do.
    """
    found: list[int | None] = [None] * len(ranges)
    searches = [_search(each) for each in ranges]
    tried = [next(search) for search in searches]

    def tell(place: int, does: bool) -> None:
        try:
            tried[place] = searches[place].send(does)
        except StopIteration as end:
            tried[place] = found[place] = end.value

    while None in found:
        failed = fails(tried)
        if failed is not None:
            if found[failed] is not None or (tried[failed] == ranges[failed].high):
                return None
            tell(failed, False)  # of the others nothing is known yet
            continue
        for place, number in enumerate(found):
            if number is None:
                tell(place, True)
    return [number for number in found if number is not None]


def _search(where: Range) -> Generator[int, bool, int]:
    """Yields the numbers to try, is told whether they do, and returns the one that is found."""
    if (yield where.low):
        return where.low
    good, bad, step = 0, where.low, 1  # 0: none is known yet
    guess = where.guess()
    if where.low < guess < where.high:
        if (yield guess):
            good = guess
            if guess - 1 == bad or not (yield guess - 1):
                return guess
            good = guess - 1
        else:
            bad = guess
    while not good:
        tried = min(bad + step, where.high)
        good, bad = (tried, bad) if (yield tried) else (0, tried)
        step *= 2
    while good - bad > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if (yield middle) else (good, middle)
    return good
