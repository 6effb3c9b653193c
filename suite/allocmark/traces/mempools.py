# SPDX-License-Identifier: BSD-3-Clause
"""From what the tracepoints of DPDK tell of its mempools (a folder that a DPDK application leaves with ``--trace``) to
a trace with pools."""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allocmark.errors import UsageError
from allocmark.traces._traces import ffi, lib
from allocmark.traces.ctf_metadata import METADATA, CtfMetadata, read_metadata
from allocmark.traces.ctf_stream import CtfStream, Happened
from allocmark.traces.recording import Process, check_new

_CREATE, _CREATE_EMPTY = "lib.mempool.create", "lib.mempool.create.empty"
_GET, _PUT = "lib.mempool.generic.get", "lib.mempool.generic.put"  # what all forms of get and put come down to
_WANTED = (_CREATE, _CREATE_EMPTY, _GET, _PUT)
_CALL = struct.Struct("<QIIII")  # ``am_pool_call``
_OPTIONS = "'--trace=lib.mempool.*' --trace-mode=discard"
_STREAM = "channel0_"  # how the names of streams begin
_CACHE_LINE = 6  # logarithm of what a mempool aligns to


@dataclass(frozen=True)
class FromDpdk:
    """What was made. ``full``: streams that had no more room, so that the trace ends there; ``put_unknown``: objects
    that were put and not got in the trace, ``failed``: that were asked for while fewer were in the pool."""

    made: Process
    pools: Sequence[str]
    full: Sequence[str]
    put_unknown: int
    failed: int


def is_dpdk_trace(folder: Path) -> bool:
    """Whether it looks like one of a DPDK application."""
    return (folder / METADATA).is_file()


def from_dpdk(folder: Path, output: Path) -> FromDpdk:
    """Make the trace ``output`` of a folder with ``metadata`` and streams. TraceError for what is damaged or foreign,
    UsageError for what has no gets and puts."""
    check_new(output)
    metadata = read_metadata(folder / METADATA)
    files = sorted(each for each in folder.iterdir() if each.name.startswith(_STREAM) and each.is_file())
    streams = sorted((CtfStream(file, metadata) for file in files), key=lambda stream: (stream.lcore, stream.path.name))
    calls = _Calls(streams, metadata)
    if not calls.count:
        raise UsageError(
            f"{folder}: it tells of no gets and puts: compile the application with RTE_ENABLE_TRACE_FP, and start it "
            f"with {_OPTIONS}"
        )
    command = [streams[0].thread or "dpdk", f"(DPDK {metadata.version.removeprefix('DPDK ')})"]
    about = {
        "command": command,
        "pid": 0,
        "started": "",
        "machine": {},
        "inherited": False,
        "stopped": 0,
    }
    joined, error = ffi.new("am_joined *"), ffi.new("allocmark_error *")
    pools = ffi.new("am_trace_pool[]", calls.pools)
    data = ffi.from_buffer("am_pool_call[]", calls.packed)
    if lib.am_join_pools(
        data, calls.count, pools, len(pools), os.fsencode(output), json.dumps(about).encode(), joined, error
    ):
        output.unlink(missing_ok=True)
        raise UsageError(ffi.string(error.message).decode(errors="replace"))
    made = Process(
        path=output,
        command=command,
        pid=0,
        events=joined.events,
        objects=joined.objects,
        threads=joined.threads,
        seconds=joined.nanoseconds / 1e9,
        peak_live_bytes=joined.peak_live_bytes,
        unknown_frees=0,
        missed_frees=0,
        stopped="",
        inherited=False,
    )
    names = [pool["name"].decode() for pool in calls.pools]
    return FromDpdk(made, names, calls.full, joined.unknown_frees, joined.missed_frees)


class _Calls:
    """The gets and puts of all streams in their order, and the pools that they name."""

    def __init__(self, streams: Sequence[CtfStream], metadata: CtfMetadata) -> None:
        happened = [(event, number) for number, stream in enumerate(streams) for event in stream.events(_WANTED)]
        turn = 1 << metadata.clock_bits
        origin = happened[0][0].ticks if happened else 0

        def since(ticks: int) -> int:
            """The clock's bits run over: all times are counted from one of them."""
            return (ticks - origin + turn // 2) % turn - turn // 2

        happened.sort(key=lambda each: since(each[0].ticks))
        first = since(happened[0][0].ticks) if happened else 0
        ends = [since(stream.full_at) for stream in streams if stream.full_at is not None]
        self.full = [str(stream.path) for stream in streams if stream.full_at is not None]
        self.pools: list[dict[str, Any]] = []
        self._by_address: dict[int, int] = {}
        self.packed = bytearray()
        for event, number in happened:
            at = since(event.ticks)
            if ends and at > min(ends):
                break
            values = dict(zip(event.event.fields.names, event.values, strict=True))
            if event.event.name in (_GET, _PUT):
                call = self._call(streams[number], event, values)
                self.packed += _CALL.pack((at - first) * 10**9 // metadata.frequency, number, *call)
            else:
                self._create(streams[number], event, values)

    @property
    def count(self) -> int:
        """Gets and puts."""
        return len(self.packed) // _CALL.size

    def _call(self, stream: CtfStream, event: Happened, values: Mapping[str, Any]) -> tuple[int, int, int]:
        pool = self._by_address.get(_member(stream, event, values, "mempool"))
        if pool is None:
            raise stream.damaged(
                event.offset, f"a pool that it does not tell of: start the application with {_OPTIONS}"
            )
        return pool, _member(stream, event, values, "nb_objs"), event.event.name == _PUT

    def _create(self, stream: CtfStream, event: Happened, values: Mapping[str, Any]) -> None:
        """`rte_mempool_create` tells twice: of the empty pool, too."""
        address = _member(stream, event, values, "mempool")
        if event.event.name == _CREATE and address in self._by_address:
            return
        name = bytes(values.get("name", b"")).split(b"\0")[0].decode("ascii", errors="replace")
        number = {field: _member(stream, event, values, field) for field in ("elt_size", "nb_elts", "cache_size")}
        if not (number["elt_size"] and number["nb_elts"] and number["cache_size"] <= number["nb_elts"]):
            raise stream.damaged(event.offset, "a pool of no objects, or with a cache larger than it")
        if len(self.pools) == lib.AM_MOST_POOLS:
            raise stream.damaged(event.offset, f"more than {lib.AM_MOST_POOLS:,} pools")
        self._by_address[address] = len(self.pools)
        self.pools.append(
            {
                "name": re.sub(r"[^!-~]", "_", name)[:31].encode() or b"pool",
                "object_size": number["elt_size"],
                "objects": number["nb_elts"],
                "working_set": 0,
                "cache": number["cache_size"],
                "alignment": _CACHE_LINE,
            }
        )


def _member(stream: CtfStream, event: Happened, values: Mapping[str, Any], name: str) -> int:
    value = values.get(name)
    if not isinstance(value, int):
        raise stream.damaged(event.offset, f"{event.event.name} without {name}")
    return value
