# SPDX-License-Identifier: BSD-3-Clause
"""Core-to-core distances: which blocks of a case can be compared with each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from allocmark.stats.estimates import median

DISTANCE_TOLERANCE = 0.25  #: round trips that differ by a smaller share count as the same distance


class _Block(Protocol):
    """A block's round trip in ns, None for one core; ``changed``: the distance moved during the block."""

    @property
    def round(self) -> int: ...

    @property
    def distance_ns(self) -> float | None: ...
    @property
    def changed(self) -> bool: ...


@dataclass(frozen=True)
class Distance:
    """The core-to-core distance of most blocks.

    ``ns`` is the median round trip of the blocks in ``kept`` (indices), None for a workload on one core. ``changed``
    counts blocks during which the distance moved, ``other`` those of another or an unknown distance, or of a round that
    keeps less than half of its blocks.
    """

    ns: float | None
    kept: frozenset[int]
    changed: int
    other: int


def near(a: float | None, b: float | None) -> bool:
    """Whether two round trips in ns are the same distance; None, for one core, is the same as None only."""
    if a is None or b is None:
        return a is b
    return abs(a - b) <= DISTANCE_TOLERANCE * min(a, b)


def dominant_distance(blocks: Sequence[_Block]) -> Distance:
    """The distance of most unchanged blocks, and which blocks those are; of two equally frequent, the nearer.

    When no block has a distance (one core), every unchanged block is kept. When some have, a block without one is not.
    """
    steady = {index: block.distance_ns for index, block in enumerate(blocks) if not block.changed}
    changed = len(blocks) - len(steady)
    figures = [ns for ns in steady.values() if ns is not None]
    kept = set(steady)
    if figures:
        centre = max(sorted(figures), key=lambda c: sum(near(c, ns) for ns in figures))
        kept = {index for index, ns in steady.items() if ns is not None and near(centre, ns)}
    taken, usable = (Counter(blocks[index].round for index in found) for found in (range(len(blocks)), kept))
    kept = {index for index in kept if 2 * usable[blocks[index].round] >= taken[blocks[index].round]}
    used = [ns for index in kept if (ns := steady[index]) is not None]
    return Distance(median(used) if used else None, frozenset(kept), changed, len(blocks) - changed - len(kept))
