# SPDX-License-Identifier: BSD-3-Clause
"""What the machine was like in each block: which blocks of a case can be compared with each other."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from allocmark.stats.estimates import median

DISTANCE_TOLERANCE = 0.25  #: round trips that differ by a smaller share count as the same distance
PACE_TOLERANCE = 0.2  #: and so does a CPU's speed; what shares its core changes it by half or more
MOST_PER_USABLE = 2  #: rounds in all, for each usable one that is wanted
USABLE_SHARE = 1 / 4  #: of a round's blocks: with fewer left the round is not used
FAST_SHARE = 1 / 3  #: of the rounds: so many at a speed are enough to prefer it to slower ones


class _Block(Protocol):
    """What was measured beside a block, in ns: the round trip between cores, None for one core, and the slowest CPU's
    pace, None where it is not known; ``changed``: one of them moved during the block."""

    @property
    def round(self) -> int: ...
    @property
    def distance_ns(self) -> float | None: ...
    @property
    def pace_ns(self) -> float | None: ...
    @property
    def changed(self) -> bool: ...


@dataclass(frozen=True)
class Conditions:
    """Those under which blocks are compared.

    ``distance_ns`` and ``pace_ns`` are the medians of the blocks in ``kept`` (indices), None where there is none;
    ``rounds`` are the numbers of theirs.
    ``changed`` counts blocks during which one of them moved, ``other`` those with another or an unknown one, or of a
    round that keeps less than `USABLE_SHARE` of its blocks.
    """

    distance_ns: float | None
    pace_ns: float | None
    kept: frozenset[int]
    rounds: frozenset[int]
    changed: int
    other: int


def near(a: float | None, b: float | None, tolerance: float = DISTANCE_TOLERANCE) -> bool:
    """Whether two figures in ns are the same but for the tolerance; None is the same as None only."""
    if a is None or b is None:
        return a is b
    return abs(a - b) <= tolerance * min(a, b)


def same_pace(a: float | None, b: float | None) -> bool:
    """Whether CPUs were as fast in one run as in another, as far as both know."""
    return a is None or b is None or near(a, b, PACE_TOLERANCE)


def usual_conditions(blocks: Sequence[_Block]) -> Conditions:
    """The core-to-core distance of most unchanged blocks, among these the fastest pace that enough rounds had, else
    that of most, and which blocks those are; of two equally frequent, the smaller.

    The fastest, as runs find it again: how often a core is shared changes from run to run. When no block has a figure,
    every unchanged block is kept. When some have, a block without one is not.
    """
    taken = Counter(block.round for block in blocks)
    steady = [index for index, block in enumerate(blocks) if not block.changed]
    near_ones = _commonest({index: blocks[index].distance_ns for index in steady}, DISTANCE_TOLERANCE)
    paces = {index: blocks[index].pace_ns for index in near_ones}
    for group in (*_ascending(paces, PACE_TOLERANCE), _commonest(paces, PACE_TOLERANCE)):
        usable = Counter(blocks[index].round for index in group)
        rounds = frozenset(each for each in usable if usable[each] >= USABLE_SHARE * taken[each])
        kept = frozenset(index for index in group if blocks[index].round in rounds)
        if len(rounds) >= FAST_SHARE * len(taken):
            break
    return Conditions(
        _median([blocks[index].distance_ns for index in kept]),
        _median([blocks[index].pace_ns for index in kept]),
        kept,
        rounds,
        len(blocks) - len(steady),
        len(steady) - len(kept),
    )


def _commonest(figures: Mapping[int, float | None], tolerance: float) -> set[int]:
    """The keys of those near the figure that most are near to; all when there is no figure."""
    known = sorted(ns for ns in figures.values() if ns is not None)
    return _near_to(_centre(known, known, tolerance), figures, tolerance) if known else set(figures)


def _ascending(figures: Mapping[int, float | None], tolerance: float) -> Iterator[set[int]]:
    """The keys of those near one another, group by group, the smallest figures first; none when there is no figure."""
    known = sorted(ns for ns in figures.values() if ns is not None)
    start = 0
    while start < len(known):
        reach = bisect_right(known, known[start] * (1 + tolerance))
        centre = _centre(known[start:reach], known, tolerance)
        yield _near_to(centre, figures, tolerance)
        start = bisect_right(known, centre * (1 + tolerance))


def _centre(candidates: Sequence[float], known: Sequence[float], tolerance: float) -> float:
    """The first of those to which most of ``known``, which are in order, are near."""
    apart = 1 + tolerance
    return max(candidates, key=lambda c: bisect_right(known, c * apart) - bisect_left(known, c / apart))


def _near_to(centre: float, figures: Mapping[int, float | None], tolerance: float) -> set[int]:
    return {key for key, ns in figures.items() if ns is not None and near(centre, ns, tolerance)}


def _median(figures: Sequence[float | None]) -> float | None:
    known = [ns for ns in figures if ns is not None]
    return median(known) if known else None
