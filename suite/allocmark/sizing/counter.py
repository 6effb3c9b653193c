# SPDX-License-Identifier: BSD-3-Clause
"""Counts one backend in one case, with caches of one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from allocmark.backend import Backend
from allocmark.engine.session import CountedRun, Engine, Need
from allocmark.errors import RefusedError
from allocmark.passes.reuse import EVENTS, MOST_SKIPPED, figures
from allocmark.sizing.smallest import Range, smallest
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
        self._served: tuple[Sequence[int], CountedRun] | None = None  # the last trial in which no get failed

    def counted(self) -> dict[str, Any]:
        # First as many objects are got as the pools have: a pool that hands out all of them in turn is seen doing so.
        skip = min(MOST_SKIPPED, sum(pool.objects for pool in self._program.pools))
        whole, facts = self._run(self._program, skip, EVENTS)
        if whole.failed is not None:
            return {"refused": "a get fails even where the pools have room to spare"}
        pools = self._program.pools
        any_size = self._backend.capabilities.any_size
        sizes = [] if any_size else smallest(self._fails, [self._range(*each) for each in enumerate(whole.needs)])
        if sizes is None:
            return {"refused": "whether a get fails depends on more than the size of its pool"}
        tight = self._tight(sizes) if sizes else None
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
                    "gets": _sum(own[index][0] for own in whole.tallies),
                    "puts": _sum(own[index][1] for own in whole.tallies),
                }
                for index, pool in enumerate(pools)
            ],
            "actors": [
                {"name": actor.name, "gets": _sum(tally[0] for tally in own), "puts": _sum(tally[1] for tally in own)}
                for actor, own in zip(self._program.actors, whole.tallies, strict=True)
            ],
            "tight": _trips_per_object(tight) if tight else None,
            "memory": figures(whole.events, self._program.touched) or None,
        }

    def _range(self, index: int, need: Need) -> Range:
        """Where the smallest size of a pool is looked for: in the pool as it is no get failed."""
        return Range(max(need.most_out, 1), lambda: self._guess(need), self._program.pools[index].objects)

    def _guess(self, need: Need) -> int:
        """What a pool refused for one size is often refused for another, too."""
        return max(need.most_needed, *(objects + 1 for _, objects in self._refused), 0)

    def _fails(self, sizes: Sequence[int]) -> int | None:
        """The pool in which a get fails when each has so many objects. A backend may refuse to make such a one, too."""
        try:
            run, _ = self._run(self._with(sizes), SETTLING)
        except RefusedError as refusal:
            if refusal.pool < 0:
                raise
            self._refused.add((refusal.pool, sizes[refusal.pool]))
            return refusal.pool
        if run.failed is None:
            self._served = tuple(sizes), run
        return run.failed

    def _tight(self, sizes: Sequence[int]) -> CountedRun:
        """Pools of the smallest sizes."""
        if self._served and self._served[0] == tuple(sizes):
            return self._served[1]
        return self._run(self._with(sizes), SETTLING)[0]

    def _with(self, sizes: Sequence[int]) -> Program:
        pools = [
            replace(pool, objects=n, working_set=min(n, pool.working_set))
            for pool, n in zip(self._program.pools, sizes, strict=True)
        ]
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
