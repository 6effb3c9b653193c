# SPDX-License-Identifier: BSD-3-Clause
"""Counts one backend in one case, with caches of one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from allocmark.backend import Backend
from allocmark.engine.session import CountedRun, Engine
from allocmark.errors import RefusedError
from allocmark.passes.reuse import EVENTS, MOST_SKIPPED, Event, figures
from allocmark.sizing.smallest import smallest
from allocmark.workload.tape.program import Program

SETTLING = 8192  #: objects that are got until caches are as full as they will be
COUNTED = EVENTS // 2  #: objects that are got then: each is got and put


def count_cell(backend: Backend, program: Program, cpus: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """The members of a `Sized`, less its cache. EngineError when a run cannot end."""
    counter = _Counter(backend, program, cpus)
    try:
        return counter.counted()
    except RefusedError as refusal:
        return {"refused": str(refusal)}


class _Counter:
    def __init__(self, backend: Backend, program: Program, cpus: Sequence[tuple[int, int]]) -> None:
        self._backend = backend
        self._program = program
        self._cpus = cpus
        self._refused: set[tuple[int, int]] = set()  # pools by their number, with so many objects

    def counted(self) -> dict[str, Any]:
        # First as many objects are got as the pools have: a pool that hands out all of them in turn is seen doing so.
        skip = min(MOST_SKIPPED, sum(pool.objects for pool in self._program.pools))
        whole, facts = self._run(self._program, skip, EVENTS)
        if whole.failed:
            return {"refused": "a get fails even where the pools have room to spare"}
        pools = self._program.pools
        sizes = [] if self._backend.capabilities.any_size else self._smallest(whole)
        tight = self._run(self._with(dict(enumerate(sizes))), SETTLING)[0] if sizes else None
        return {
            "knows_trips": whole.knows_trips,
            "knows_cached": whole.knows_cached,
            "pools": [
                {
                    "name": pool.name,
                    "objects": pool.objects,
                    "most_out": whole.needs[index].most_out,
                    "smallest": sizes[index] if sizes else None,
                    "least_made": bool(sizes) and (index, sizes[index] - 1) in self._refused,
                    "keeps": facts[index].get("cache", ""),
                }
                for index, pool in enumerate(pools)
            ],
            "actors": [
                {"name": actor.name, "gets": _sum(tally[0] for tally in own), "puts": _sum(tally[1] for tally in own)}
                for actor, own in zip(self._program.actors, whole.tallies, strict=True)
            ],
            "tight": _trips_per_object(tight) if tight else None,
            "memory": figures([Event(*event) for event in whole.events], self._program.touched) or None,
        }

    def _smallest(self, whole: CountedRun) -> list[int]:
        """Of each pool, the others being as large as they are."""
        found = []
        for index, (pool, need) in enumerate(zip(self._program.pools, whole.needs, strict=True)):
            guess = need.most_needed if whole.knows_cached else 0
            serves = partial(self._serves, index)
            size = smallest(serves, max(need.most_out, 1), guess, pool.objects)
            assert size is not None  # the pool as it is has served
            found.append(size)
        return found

    def _serves(self, index: int, objects: int) -> bool:
        """Whether no get fails when a pool has so many objects. A backend may refuse to make such a one, too."""
        try:
            return not self._run(self._with({index: objects}), SETTLING)[0].failed
        except RefusedError:
            self._refused.add((index, objects))
            return False

    def _with(self, objects: dict[int, int]) -> Program:
        pools = list(self._program.pools)
        for index, n in objects.items():
            pools[index] = replace(pools[index], objects=n, working_set=min(n, pools[index].working_set))
        return replace(self._program, pools=tuple(pools))

    def _run(self, program: Program, skip: int, events: int = 0) -> tuple[CountedRun, list[dict[str, str]]]:
        """A run in which `COUNTED` objects are got after the first ``skip``, and what the backend says of each pool."""
        assert self._backend.table is not None  # only available variants are counted
        engine = Engine(self._backend.table, self._backend.options, program, self._cpus, lasting=True)
        per_unit = sum(actor.objects * actor.iterations for actor in program.actors)
        count = engine.count(-(-(skip + COUNTED) // per_unit), skip, events)
        facts = [engine.facts(index) for index in range(len(program.pools))]
        engine.drain()
        engine.close()
        return count, facts


def _sum(tallies: Any) -> dict[str, int]:
    calls, objects, trips, moved = map(sum, zip(*tallies, strict=True))
    return {"calls": calls, "objects": objects, "trips": trips, "moved": moved}


def _trips_per_object(count: CountedRun) -> float | None:
    if not count.knows_trips:
        return None
    both = [tally for own in count.tallies for pair in own for tally in pair]
    got = sum(gets.objects for own in count.tallies for gets, _ in own)
    return sum(tally.trips for tally in both) / got if got else None
