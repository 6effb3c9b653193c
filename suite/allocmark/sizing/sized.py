# SPDX-License-Identifier: BSD-3-Clause
"""What is counted of a backend in a case: a record for each size of its caches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from allocmark.passes.reuse import Reuse


@dataclass(frozen=True)
class Traffic:
    """What was done in gets, or in puts: calls, their objects, trips to what threads share, and objects that these
    trips moved."""

    calls: int = 0
    objects: int = 0
    trips: int = 0
    moved: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(*(mine + its for mine, its in zip(vars(self).values(), vars(other).values(), strict=True)))

    @property
    def miss_rate(self) -> float | None:
        """Trips per object."""
        return self.trips / self.objects if self.objects else None


@dataclass(frozen=True)
class SizedPool:
    """``objects`` it was counted with; ``most_out`` is how many the workload ever had out at once.

    ``smallest`` is the size with which no get fails: with one object fewer, one does. None: there is no pool size.
    ``least_made``: the backend makes no smaller one, whether a get would fail or not.
    ``keeps`` is the most that a thread keeps for itself, as the backend says, or "".
    ``gets`` and ``puts`` are those of all actors.
    """

    name: str
    objects: int
    most_out: int
    smallest: int | None
    least_made: bool
    keeps: str
    gets: Traffic = Traffic()
    puts: Traffic = Traffic()

    @property
    def stranded(self) -> int | None:
        """Objects that the smallest pool has beyond those that are out: when the pool is at its lowest they lie where
        the actor that gets cannot reach them. None: not known."""
        return None if self.smallest is None or self.least_made else self.smallest - self.most_out


@dataclass(frozen=True)
class SizedActor:
    name: str
    gets: Traffic
    puts: Traffic


@dataclass(frozen=True)
class Sized:
    """One size of the caches. ``refused`` says why the backend cannot have it, "" when it can.

    ``tight`` is `trips_per_object` in pools of the smallest size. ``memory`` is None when the run was too short for it.
    """

    cache: int
    refused: str = ""
    knows_trips: bool = False
    knows_cached: bool = False
    pools: Sequence[SizedPool] = ()
    actors: Sequence[SizedActor] = ()
    tight: float | None = None
    memory: Reuse | None = field(default=None, repr=False)

    @property
    def gets(self) -> Traffic:
        return sum((actor.gets for actor in self.actors), Traffic())

    @property
    def puts(self) -> Traffic:
        return sum((actor.puts for actor in self.actors), Traffic())

    @property
    def trips_per_object(self) -> float | None:
        """Trips of gets and puts, for each object that was got. None: not known."""
        return self._trips(self.gets, self.puts)

    def trips_in(self, pool: SizedPool) -> float | None:
        """The same, of one of the pools."""
        return self._trips(pool.gets, pool.puts)

    def _trips(self, gets: Traffic, puts: Traffic) -> float | None:
        return (gets + puts).trips / gets.objects if self.knows_trips and gets.objects else None

    @property
    def average_burst(self) -> float | None:
        """Objects that a trip moves. None: not known, or there was no trip."""
        both = self.gets + self.puts
        return both.moved / both.trips if self.knows_trips and self.knows_cached and both.trips else None


@dataclass(frozen=True)
class SizedBackend:
    """One backend in a case, its caches from small to large; ``reason`` says why it has no rows."""

    label: str
    sizes: Sequence[Sized] = ()
    status: str = "ok"  #: or "failed", or "unavailable"
    reason: str = ""


@dataclass(frozen=True)
class SizedCase:
    title: str
    backends: Sequence[SizedBackend]
