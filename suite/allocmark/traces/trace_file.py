# SPDX-License-Identifier: BSD-3-Clause
"""A trace: what a program asked of malloc, as docs/what-is-in-a-trace.md describes it. Read a chunk at a time."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from allocmark.errors import EngineError, RefusedError, TraceError, printable
from allocmark.traces._traces import ffi, lib

_EVENT = struct.Struct("<QQIIBBB5x")  # ``am_trace_event``
_AT_ONCE = 1 << 16

_Number = Annotated[int, Meta(ge=0, lt=1 << 62)]

MALLOC, CALLOC, ALIGNED, REALLOC, FREE = range(1, 6)


class TracePoint(NamedTuple):
    """Where a trace is after a share of its events, in the order in which the program ran. See ``am_point``."""

    event: int
    ns: int
    live_bytes: int
    live_objects: int
    threads: int


class TraceCall(NamedTuple):
    """One call; ``alignment`` is a logarithm."""

    size: int
    ns: int
    slot: int
    thread: int
    kind: int
    alignment: int
    waits: bool


class RecordedProcess(msgspec.Struct, frozen=True):
    """The process that was recorded. ``inherited``: it was made by a fork, with objects of its parent. ``stopped``: why
    the recording ended before it, as errno."""

    command: list[str]
    pid: int
    started: str
    machine: dict[str, str]
    inherited: bool
    stopped: int


class About(msgspec.Struct, frozen=True):
    """What a trace says of itself. ``unknown_frees`` were of objects whose malloc was not recorded, and are left out;
    ``missed_frees`` of objects that were handed out again, and are added."""

    objects: _Number
    peak_live_bytes: _Number
    live_bytes: _Number
    nanoseconds: _Number
    unknown_frees: _Number
    missed_frees: _Number
    process: RecordedProcess


@dataclass(frozen=True)
class TracePool:
    """A pool that a program had, or one that serves a size class. ``working_set``: most objects that are out at once;
    ``alignment`` is a logarithm."""

    name: str
    object_size: int
    objects: int
    working_set: int
    cache: int
    alignment: int

    @property
    def bytes(self) -> int:
        """Of all its objects."""
        return self.object_size * self.objects


@dataclass(frozen=True)
class Played:
    """What one replay gave. ``late``: with gaps, by call (get, put): (ns, calls), ascending. Bytes are those resident
    in the process, at each of the trace's points and when everything was freed, less those before."""

    ns: int
    objects: int
    resident: Sequence[int]
    live: Sequence[int]
    drained: int
    late: tuple[list[tuple[int, int]], list[tuple[int, int]]]


class Trace:
    """A file that is one. TraceError says what is wrong with it, and where."""

    def __init__(self, path: Path) -> None:
        self.path = path
        error = ffi.new("allocmark_error *")
        self._trace = lib.am_trace_open(os.fsencode(path), error)
        if self._trace == ffi.NULL:
            raise TraceError(_text(error))
        self._facts = ffi.new("am_trace_facts *")
        lib.am_trace_tell(self._trace, self._facts)
        length = ffi.new("uint64_t *")
        text = lib.am_trace_process(self._trace, length)
        try:
            self.about = msgspec.json.decode(ffi.buffer(text, length[0])[:], type=About)
        except (msgspec.MsgspecError, ValueError) as wrong:
            self.close()
            what = printable(str(wrong))
            raise TraceError(f"{path}: offset {self.bytes}: its process cannot be read: {what}") from None

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        lib.am_trace_close(self._trace)
        self._trace = ffi.NULL

    @property
    def name(self) -> str:
        """The file's, without its suffix, as it can be shown."""
        return printable(os.fsencode(self.path.name.removesuffix(".trace")).decode(errors="replace"))

    @property
    def bytes(self) -> int:
        """Of the file."""
        return int(self._facts.bytes)

    @property
    def events(self) -> int:
        """Calls, and what says where threads begin and meet."""
        return int(self._facts.events)

    @property
    def threads(self) -> int:
        """All that there were."""
        return int(self._facts.threads)

    @property
    def has_pools(self) -> bool:
        """Whether the program had pools, and called no malloc."""
        return int(self._facts.pools) > 0

    @property
    def largest(self) -> int:
        """Bytes of the largest object."""
        return int(self._facts.largest)

    @property
    def most_live_bytes(self) -> int:
        """Of the objects that live at once; known after `check`."""
        return max(int(self._facts.most_live_bytes), self.about.peak_live_bytes)

    @property
    def most_threads(self) -> int:
        """At once; known after `check`."""
        return int(self._facts.most_threads)

    @property
    def points(self) -> list[TracePoint]:
        """After each hundredth of the events; the last one is the end."""
        points = ffi.new("am_point[]", max(1, self._facts.points))
        lib.am_trace_points(self._trace, points)
        return [
            TracePoint(p.event, p.ns, p.live_bytes, p.live_objects, p.threads)
            for p in points[0 : int(self._facts.points)]
        ]

    def check(self) -> None:
        """Go through all of it, without an allocator. What passes can be played, and gives the figures it says."""
        error = ffi.new("allocmark_error *")
        if lib.am_trace_check(self._trace, error) != 0:
            raise TraceError(_text(error))
        lib.am_trace_tell(self._trace, self._facts)
        for what, said, found in (
            ("objects", self.about.objects, self._facts.objects),
            ("nanoseconds", self.about.nanoseconds, self._facts.nanoseconds),
        ):
            if said != found:
                raise TraceError(
                    f"{self.path}: offset {self.bytes}: it says {said} {what}, and its events have {found}"
                )

    def pools(self) -> list[TracePool]:
        """The pools on which it can be played: see ``am_trace_pools``. After `check`."""
        made, error = ffi.new("am_trace_pool[]", lib.AM_MOST_POOLS), ffi.new("allocmark_error *")
        n = lib.am_trace_pools(self._trace, made, lib.AM_MOST_POOLS, error)
        if n < 0:
            raise TraceError(_text(error))
        members = ("object_size", "objects", "working_set", "cache", "alignment")
        return [
            TracePool(ffi.string(pool.name).decode(), *(int(getattr(pool, name)) for name in members))
            for pool in made[0:n]
        ]

    def calls(self) -> Iterator[TraceCall]:
        """All calls, in an order in which they may have happened. Once for each object of this class."""
        buffer = ffi.new("am_trace_event[]", _AT_ONCE)
        error = ffi.new("allocmark_error *")
        while n := lib.am_trace_events(self._trace, buffer, _AT_ONCE, error):
            if n < 0:
                raise TraceError(_text(error))
            yield from map(TraceCall._make, _EVENT.iter_unpack(ffi.buffer(buffer, n * _EVENT.size)))

    def play(
        self,
        table: int | None,
        pools: Sequence[TracePool],
        most_threads: int,
        options: Mapping[str, str],
        cpus: Sequence[int],
        *,
        gaps: bool,
        stall_seconds: float,
    ) -> Played:
        """Replay it once, in this process, on the backend with the table at ``table``; None: the floor. It was checked.

        ``pools`` and ``most_threads`` are those that it tells: a backend that hands out no malloc needs such pools.
        RefusedError when the backend cannot, EngineError when it failed; then this process must end.
        """
        texts = [
            (ffi.new("char[]", os.fsencode(key)), ffi.new("char[]", os.fsencode(value)))
            for key, value in options.items()
        ]
        plan = ffi.new("am_play_plan *")
        plan.table = ffi.NULL if table is None else ffi.cast("void *", table)
        plan.options = own = ffi.new("allocmark_option[]", texts)
        plan.n_options = len(own)
        plan.gaps = gaps
        plan.cpus = pinned = ffi.new("int32_t[]", list(cpus))
        plan.n_cpus = len(pinned)
        plan.pools = made = ffi.new("am_trace_pool[]", [vars(pool) | {"name": pool.name.encode()} for pool in pools])
        plan.n_pools = len(made)
        plan.max_threads = max(1, most_threads)
        plan.stall_ns = int(stall_seconds * 1e9)
        played = ffi.new("am_played *")
        points = int(self._facts.points)
        resident, live = (ffi.new("uint64_t[]", max(1, points)) for _ in range(2))
        error = ffi.new("allocmark_error *")
        failed = lib.am_trace_play(self._trace, plan, played, resident, live, error)
        if failed:
            raise (RefusedError if failed == -_ENOTSUP else EngineError)(_text(error))
        return Played(
            ns=int(played.ns),
            objects=int(played.objects),
            resident=[max(0, n - played.start_bytes) for n in resident[0:points]],
            live=list(live[0:points]),
            drained=max(0, played.drained_bytes - played.start_bytes),
            late=(_histogram(played, 0), _histogram(played, 1)),
        )


_ENOTSUP = 95


def _histogram(played: Any, kind: int) -> list[tuple[int, int]]:
    buckets = lib.AM_PLAY_BUCKETS
    counts = ffi.unpack(ffi.addressof(played, "late")[0], 2 * buckets)[kind * buckets : (kind + 1) * buckets]
    return [(int(lib.am_play_bucket_top(i)), n) for i, n in enumerate(counts) if n]


def _text(error: Any) -> str:
    return str(ffi.string(error.message).decode(errors="replace"))
