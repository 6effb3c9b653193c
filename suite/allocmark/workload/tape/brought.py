# SPDX-License-Identifier: BSD-3-Clause
"""What a get brings: from which pools its objects come, by their sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from allocmark.workload.language.schema import Pool


class Latest(NamedTuple):
    """Objects of the latest get or receive, of one pool, and the bytes of each that were asked for; None: all that
    objects of its pool have."""

    pool: int
    n: int
    size: int | None = None
    received: bool = False


class PoolOfSize(dict[int, int]):
    """The pool of each size: the smallest of ``among`` that fits. ``draw`` gives the sizes of a get, which are
    ``random`` or all the same; None: the size of its pool."""

    def __init__(
        self, among: Sequence[int], pools: Sequence[Pool], draw: Callable[[], int] | None, random: bool
    ) -> None:
        super().__init__()
        self.among, self.draw, self.random = among, draw, random
        self.single: dict[int, list[Latest]] = {}  # by size: what a get of one object of that size brings
        self.rooms = sorted((pools[number].object_size, number) for number in among)

    def __missing__(self, size: int) -> int:
        self[size] = next(number for room, number in self.rooms if room >= size)
        return self[size]

    def one(self, size: int, exact: bool) -> list[Latest]:
        """A get of one object of that size, which is asked for exactly or not; kept in `single`."""
        self.single[size] = [Latest(self[size], 1, size if exact else None)]
        return self.single[size]


def one_by_one(found: Iterable[tuple[int, int]]) -> list[Latest]:
    """(pool, size) of each object, in their order."""
    latest: list[Latest] = []
    for pool, size in found:
        same = latest and (latest[-1].pool, latest[-1].size) == (pool, size)
        latest[-1:] = [Latest(pool, latest[-1].n + 1, size)] if same else [*latest[-1:], Latest(pool, 1, size)]
    return latest


def by_pool(found: Sequence[int], pools: Sequence[int]) -> list[Latest]:
    """The pool of each object: a bulk from each pool."""
    first = found[0]
    if found.count(first) == len(found):
        return [Latest(first, len(found))]
    return [Latest(pool, n) for pool in pools if (n := found.count(pool))]
