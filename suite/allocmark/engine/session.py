# SPDX-License-Identifier: BSD-3-Clause
"""One engine in this process: a backend variant, its pools and its actor threads."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from allocmark.engine._engine import ffi, lib
from allocmark.engine.trouble import describe
from allocmark.errors import EngineError, RefusedError
from allocmark.workload.tape.instructions import INDEX_SIZE, LAYOUT
from allocmark.workload.tape.program import Program, ProgramActor

if TYPE_CHECKING:
    from allocmark.engine.replay import Replay

EVENT = struct.Struct("=QHHI")  #: ``am_event``

Histogram = list[tuple[float, int]]  #: (ns, calls), ascending: the upper ends of buckets that hold any

PAGE = 4096
MOST_REGIONS = 10_000  #: of a pool that are looked at: the kernel is asked about each
STALL_SECONDS = 5.0  #: without progress for this long, a get or a queue is given up


@dataclass(frozen=True)
class ActorSample:
    """What one actor did in one sample: see ``am_actor_sample``."""

    ns: int
    idle_ns: int
    objects: int
    failed_gets: int
    switches: int
    waited_ns: int
    cpu: int


@dataclass(frozen=True)
class Sample:
    """One sample of all actors."""

    actors: Sequence[ActorSample]
    coupled: Sequence[bool]

    @property
    def elapsed_ns(self) -> int:
        """From the common start to the last actor's end, without the time it was told to be idle."""
        return max(actor.ns for actor in self.actors)

    @property
    def wall_ns(self) -> int:
        """From the common start to the last actor's end, with the time it was told to be idle: how long the sample
        took, to size the next one by."""
        return max(actor.ns + actor.idle_ns for actor in self.actors)

    @property
    def objects(self) -> int:
        """Objects got, by all actors."""
        return sum(actor.objects for actor in self.actors)

    @property
    def ns_per_object(self) -> float:
        """Time of the actors that get, divided by what they got.

        An actor coupled to others by queues is charged until the last of them is done: its objects are not
        through before. So this is the cost per object *on each core that gets*: two cores that do the same side
        by side show the figure of one.
        """
        last = max((a.ns for a, coupled in zip(self.actors, self.coupled, strict=True) if coupled), default=0)
        time = sum(
            last if coupled else actor.ns
            for actor, coupled in zip(self.actors, self.coupled, strict=True)
            if actor.objects
        )
        return time / self.objects


class CallTally(NamedTuple):
    """What an actor did with a pool, in gets or in puts: see ``am_tally``."""

    calls: int
    objects: int
    trips: int
    moved: int


class Need(NamedTuple):
    """How many objects of a pool were out, and out or cached by others, at once: see ``am_need``."""

    most_out: int
    most_needed: int


@dataclass(frozen=True)
class CountedRun:
    """What `Engine.count` finds. ``tallies``: by actor and pool, of its gets and of its puts. What the backend does not
    know is 0 there."""

    failed: int | None  #: the pool, by its number, in which a get found too little
    knows_trips: bool
    knows_cached: bool
    needs: Sequence[Need]
    tallies: Sequence[Sequence[tuple[CallTally, CallTally]]]
    events: Sequence[tuple[int, int, int, int]]


def _in_ns(ticks: float) -> float:
    return round(float(ticks) * float(lib.am_tick_ns()), 3)


def _histogram(counts: Sequence[int]) -> Histogram:
    return [(_in_ns(lib.am_bucket_top(i)), n) for i, n in enumerate(counts) if n]


class Engine:
    """Owns the native engine. Methods raise EngineError; after one of `settle`, `sample`, `drain` or
    `check_complete` raised, only `abandon` is of use."""

    def __init__(
        self,
        table: int,
        options: Mapping[str, str],
        program: Program,
        cpus: Sequence[tuple[int, int]],
        *,
        verify: bool = False,
        stall_seconds: float = STALL_SECONDS,
        limit_seconds: float = 0.0,
        layout_seed: int = 0,
        lasting: bool = False,
    ) -> None:
        """Start the backend at ``table``, the pools and a thread per actor. RefusedError when the backend will not.

        ``cpus`` has a (CPU, NUMA node) for each actor; (-1, -1) leaves it free. A sample of actors without queues ends
        early, with fewer objects, when it lasts longer than ``limit_seconds``; 0: never. ``layout_seed`` draws where
        the engine's own memory begins and which pool is created first; 0: always the same. ``lasting``: the backend
        stays, for the next engine that says so, until `engine.end_backend`.
        """
        self._table = table
        self._program = program
        self._cpus = cpus
        self._verifies = verify
        self._stall_seconds = stall_seconds
        self._layout_seed = layout_seed
        self._limit_seconds = limit_seconds
        self.floor = table == int(ffi.cast("uintptr_t", lib.am_null_table()))  #: whether the backend is the floor
        self._keep: list[Any] = []  # cffi frees what Python no longer refers to
        plan = ffi.new("am_plan *")
        plan.table = ffi.cast("void *", table)
        plan.options = self._array(
            "allocmark_option[]", [{"key": self._text(k), "value": self._text(v)} for k, v in options.items()]
        )
        plan.n_options = len(options)
        plan.pools = self._array(
            "am_pool[]",
            [vars(pool) | {"name": self._text(pool.name)} for pool in program.pools],
        )
        plan.n_pools = len(program.pools)
        plan.queues = self._array(
            "am_queue[]",
            [{"capacity": q.capacity, "senders": q.senders, "receivers": q.receivers} for q in program.queues],
        )
        plan.n_queues = len(program.queues)
        plan.actors = self._array(
            "am_actor[]", [self._actor(actor, *cpu) for actor, cpu in zip(program.actors, cpus, strict=True)]
        )
        plan.n_actors = len(program.actors)
        plan.verify = verify
        plan.stall_ns = int(stall_seconds * 1e9)
        plan.limit_ns = int(limit_seconds * 1e9)
        plan.layout_seed = layout_seed
        plan.lasting = lasting
        plan.refused = refused = self._array("int32_t[]", [-1])
        error = ffi.new("allocmark_error *")
        self._engine = lib.am_engine_new(plan, error)
        if self._engine == ffi.NULL:
            raise RefusedError(ffi.string(error.message).decode(errors="replace"), refused[0])
        self._samples = ffi.new("am_actor_sample[]", len(program.actors))
        self._trouble = ffi.new("am_trouble *")

    @property
    def layout_seed(self) -> int:
        """What drew where the engine's memory is."""
        return self._layout_seed

    def settle(self) -> None:
        """Fill the live sets."""
        self._run(lib.AM_SETTLE)

    def move(self, layout_seed: int) -> None:
        """Put back what is held and go on with new threads, in memory whose place ``layout_seed`` draws; the pools stay
        where they are. Fill the live sets."""
        error = ffi.new("allocmark_error *")
        code = lib.am_engine_move(self._engine, layout_seed, self._trouble, error)
        if ffi.string(error.message):
            raise EngineError(f"after a move, {ffi.string(error.message).decode(errors='replace')}")
        self._check(code)
        self._layout_seed = layout_seed
        self.settle()

    def sample(self, units: int) -> Sample:
        """Every actor runs ``units`` times its iterations."""
        self._run(lib.AM_SAMPLE, units)
        return self._sample()

    def _sample(self) -> Sample:
        actors = [
            ActorSample(s.ns, s.idle_ns, s.objects, s.failed_gets, s.switches, s.waited_ns, s.cpu)
            for s in self._samples
        ]
        return Sample(actors, [actor.coupled for actor in self._program.actors])

    def time_calls(self, units: int, every_get: int, every_put: int) -> tuple[Sample, Histogram, Histogram]:
        """A sample in which one get in ``every_get`` and one put in ``every_put`` is timed: the calls' histograms.
        Not for an engine that verifies."""
        counts = ffi.new("uint64_t[]", lib.AM_CALLS * lib.AM_BUCKETS)
        every = ffi.new("uint32_t[]", [every_get, every_put])
        self._check(lib.am_engine_time_calls(self._engine, units, every, self._samples, counts, self._trouble))
        flat = ffi.unpack(counts, lib.AM_CALLS * lib.AM_BUCKETS)
        gets, puts = (_histogram(flat[first : first + lib.AM_BUCKETS]) for first in (0, lib.AM_BUCKETS))
        return self._sample(), gets, puts

    @staticmethod
    def clock_ns() -> float:
        """What timing a call adds to its figure, in ns."""
        return _in_ns(lib.am_clock_ticks())

    @staticmethod
    def clock_step_ns() -> float:
        """The smallest step of the clock that times calls, in ns."""
        return _in_ns(lib.am_clock_step())

    def trace(self, units: int, skip: int, most: int) -> list[tuple[int, int, int, int]]:
        """Runs ``units`` with the actors taking turns, which is the same every time.

        Returns (address, actor, pool, whether it was put) of at most ``most`` gets and puts, from the time when
        ``skip`` objects were got. Not for an engine that verifies.
        """
        events = ffi.new("am_event[]", most)
        recorded = ffi.new("uint64_t *")
        self._check(lib.am_engine_trace(self._engine, units, skip, events, most, recorded, self._trouble))
        return list(EVENT.iter_unpack(ffi.buffer(events, recorded[0] * EVENT.size)))

    def count(self, units: int, skip: int = 0, most: int = 0) -> CountedRun:
        """A whole run of a new engine with the actors taking turns, which is the same every time; it ends where a get
        finds too little. Objects are got and put, and not touched. Then only `drain` and `close` are of use. Not for
        an engine that verifies.

        Tallies, and at most ``most`` events (see `trace`), are of the time after ``skip`` objects were got.
        """
        actors, pools = len(self._program.actors), len(self._program.pools)
        events = ffi.new("am_event[]", most)
        tallies = ffi.new("am_tally[]", actors * pools * lib.AM_CALLS)
        needs = ffi.new("am_need[]", pools)
        count = ffi.new("am_count *", {"events": events, "capacity": most, "tallies": tallies, "needs": needs})
        self._check(lib.am_engine_count(self._engine, units, skip, count, self._trouble))
        found = iter([CallTally(each.calls, each.objects, each.trips, each.moved) for each in tallies])
        return CountedRun(
            failed=count.failed if count.failed >= 0 else None,
            knows_trips=bool(count.knows_trips),
            knows_cached=bool(count.knows_cached),
            needs=[Need(need.most_out, need.most_needed) for need in needs],
            tallies=[[(next(found), next(found)) for _ in range(pools)] for _ in range(actors)],
            events=list(EVENT.iter_unpack(ffi.buffer(events, count.recorded * EVENT.size))),
        )

    def replay(self, units: int, gets: int) -> Replay:
        """Another engine for the same program, which hands out again what the actors now get in ``units``: of each the
        first ``gets`` objects. Not for an engine that verifies. RefusedError when it cannot be had."""
        from allocmark.engine.replay import Replay  # which is an Engine itself

        room = ffi.new("am_event[]", gets * len(self._program.actors))
        recorded = ffi.new("uint64_t *")
        self._check(lib.am_engine_record(self._engine, units, room, gets, recorded, self._trouble))
        events = ffi.buffer(room, recorded[0] * EVENT.size)
        regions = [self.regions(pool) for pool in range(len(self._program.pools))]
        options = {
            "stall_seconds": self._stall_seconds,
            "limit_seconds": self._limit_seconds,
            "layout_seed": self._layout_seed,
        }
        return Replay(events, regions, self._program, self._cpus, **options)

    def reference_burst(self, bulk: int, keep: int, touch: int, bursts: int) -> float:
        """ns per object of a hand-written burst loop on the first actor's thread and pool: what a sample of ``burst``
        is compared with. ``keep`` is a multiple of ``bulk``; negative when the pool has too little."""
        return float(lib.am_engine_reference_burst(self._engine, bulk, keep, touch, bursts))

    def drain(self) -> None:
        """Put back everything that is held."""
        self._run(lib.AM_DRAIN)

    def check_complete(self, any_size: bool) -> dict[str, int]:
        """After `drain`, of an engine that verifies: no pool may have lost an object. An allocator of any size has no
        number to compare with.

        Returns, by pool, how many objects are there but cannot be got by one thread alone, where there are any.
        """
        if not self._verifies:
            return {}
        unbounded = bytes([any_size] * len(self._program.pools))
        stranded = ffi.new("uint64_t[]", len(self._program.pools))
        self._check(lib.am_engine_check_complete(self._engine, unbounded, stranded, self._trouble))
        return {pool.name: n for pool, n in zip(self._program.pools, stranded, strict=True) if n}

    def facts(self, pool: int | None = None) -> dict[str, str]:
        """What the backend reads back about a pool, or about the process."""
        text = ffi.new("char[]", 1 << 16)
        n = lib.am_engine_facts(self._engine, -1 if pool is None else pool, text, 1 << 16)
        if n > 1 << 16:
            raise EngineError("the backend's function facts told of NULL as a key or a value; expected two texts")
        lines = ffi.unpack(text, n).decode(errors="replace").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    @property
    def puts_at_once(self) -> bool:
        """Whether the backend has one call for a `put_all`."""
        table = ffi.cast("const allocmark_backend *", self._table)
        return bool(table.size > ffi.offsetof("allocmark_backend", "put_all") and table.put_all)

    def regions(self, pool: int, most: int = MOST_REGIONS) -> list[tuple[int, int]]:
        """(address, bytes) of the pool's object memory, ``most`` of them; empty when the backend does not know."""
        most = min(self.region_count(pool), most)
        regions = ffi.new("allocmark_region[]", max(most, 1))
        count = min(most, lib.am_engine_regions(self._engine, pool, regions, most))
        return [(regions[i].address, regions[i].length) for i in range(count)]

    def region_count(self, pool: int) -> int:
        """How many regions the backend says the pool has."""
        return int(lib.am_engine_regions(self._engine, pool, ffi.NULL, 0))

    def objects(self, pool: int, most: int = 256) -> list[int]:
        """Addresses of some objects of the pool that were held lately."""
        addresses = ffi.new("uint64_t[]", most)
        return list(addresses[0 : lib.am_engine_objects(self._engine, pool, addresses, most)])

    def layout(self) -> dict[str, Any]:
        """Where the memory lies that is touched while the engine measures, as JSON: addresses, and how far they are
        from the beginning of their page.

        ``pools`` is in the order in which they were created. ``shared`` and each actor's ``pieces`` are in the order in
        which the engine took them; a handle is what the backend gave out for a thread and a pool.
        """
        count = lib.am_engine_layout(self._engine, ffi.NULL, 0)
        places = ffi.new("am_place[]", count)
        lib.am_engine_layout(self._engine, places, count)
        backend: dict[str, int] = {}
        pools: list[dict[str, Any]] = []
        shared: list[dict[str, Any]] = []
        actors = [{"name": actor.name, "pieces": []} for actor in self._program.actors]
        for place in places:
            what = ffi.string(place.what).decode()
            piece = {"what": what, "index": place.index, "address": place.address, "bytes": place.bytes}
            piece["offset"] = place.address % PAGE
            if place.actor >= 0:
                actors[place.actor]["pieces"].append(piece)
            elif what == "pool":
                pools.append({"name": self._program.pools[place.index].name, "handle": place.address})
            elif what in ("table", "get_bulk", "put_bulk"):
                backend[what] = place.address
            else:
                shared.append(piece)
        return {"seed": self._layout_seed, "backend": backend, "pools": pools, "shared": shared, "actors": actors}

    def close(self) -> None:
        """End threads, pools and backend. Only after `drain`."""
        engine, self._engine = self._engine, ffi.NULL
        lib.am_engine_free(engine)

    def abandon(self) -> None:
        """Give back only what would outlive the process. Nothing is left to give back after `close`."""
        if self._engine != ffi.NULL:
            lib.am_engine_abandon(self._engine)

    def _run(self, phase: int, units: int = 0) -> None:
        self._check(lib.am_engine_run(self._engine, phase, units, self._samples, self._trouble))

    def _check(self, code: int) -> None:
        if code != 0:
            raise EngineError(describe(self._trouble, self._program, self._stall_seconds))

    def _array(self, kind: str, items: list[Any] | int) -> Any:
        array = ffi.new(kind, items)
        self._keep.append(array)
        return array

    def _text(self, text: str) -> Any:
        return self._array("char[]", os.fsencode(text))  # type: ignore[arg-type]  # bytes initialise a char[]

    def _tape(self, tape: bytes) -> Any:
        owned = ffi.new("am_insn[]", len(tape) // LAYOUT.size)
        ffi.memmove(owned, tape, len(tape))
        self._keep.append(owned)
        return owned

    def _actor(self, actor: ProgramActor, cpu: int, node: int) -> dict[str, Any]:
        tapes = {"prologue": self._tape(actor.prologue), "body": self._tape(actor.body)}
        n = len(actor.indices) // INDEX_SIZE
        indices = self._array("uint32_t[]", max(n, 1))
        ffi.memmove(indices, actor.indices, len(actor.indices))
        arrays = {
            "indices": indices,
            "ring_capacity": self._array("uint32_t[]", list(actor.ring_capacity)),
        }
        members = vars(actor) | tapes | arrays | {"n_indices": n, "cpu": cpu, "node": node}
        del members["name"], members["live_bytes"]
        return members
