# SPDX-License-Identifier: BSD-3-Clause
"""One stream of a trace that DPDK writes: the buffer of a thread, with its events one behind another."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from allocmark.errors import TraceError, printable
from allocmark.traces.ctf_metadata import CtfEvent, CtfMetadata

_MAGIC = 0xC1FC1FC1
_SMALLEST = 4096  # bytes of a buffer
_LONGEST_CALL = 28  # bytes that a get or a put has behind its header


class Happened(NamedTuple):
    """An event. ``ticks`` are of the clock, which may have begun anew since; ``values`` are those of its fields."""

    ticks: int
    offset: int
    event: CtfEvent
    values: tuple[Any, ...]


class CtfStream:
    """A file that is one. TraceError says what is wrong with it, and where."""

    def __init__(self, path: Path, metadata: CtfMetadata) -> None:
        self.path = path
        self._metadata = metadata
        self._data = self._read()
        packet = dict(zip(metadata.packet.names, metadata.packet.layout.unpack_from(self._data), strict=True))
        if packet.get("magic") != _MAGIC:
            raise self.damaged(0, "no stream of a DPDK trace")
        if packet.get("uuid") != metadata.uuid:
            raise self.damaged(4, "of another trace than the metadata beside it")
        self.lcore = int(packet.get("cpu_id", 0))
        name = packet.get("name", b"").split(b"\0")[0]
        self.thread = printable(name.decode("ascii", errors="replace"))
        self.full_at: int | None = None  #: ticks from which on events may be missing, once all are read

    def damaged(self, offset: int, what: str) -> TraceError:
        """An error that tells the place."""
        return TraceError(f"{self.path}: offset {offset}: {what}")

    def _read(self) -> bytes:
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise self.damaged(0, error.strerror or "cannot be read") from error
        if len(data) < self._metadata.packet.layout.size:
            raise self.damaged(len(data), "the file ends within its header")
        return data

    def events(self, wanted: Collection[str]) -> Iterator[Happened]:
        """Those of the names, in their order."""
        header, data = self._metadata.header, self._data
        unpack, time_at, id_at = header.layout.unpack_from, header.names.index("timestamp"), header.names.index("id")
        known = {key: (event, event.name in wanted) for key, event in self._metadata.events.items()}
        half = 1 << (self._metadata.clock_bits - 1)
        at, before, empty = self._metadata.packet.layout.size, 0, bytes(header.layout.size)
        room = self._room()
        while at < len(data):
            at = -(-at // header.align) * header.align
            body = at + header.layout.size
            if data[at:body] == empty and data.count(0, at) == len(data) - at:
                return  # older versions write the whole buffer
            if body > len(data):
                raise self.damaged(at, "the file ends within an event")
            values = unpack(data, at)
            ticks, key = _number(values[time_at]), values[id_at]
            if key not in known:
                raise self.damaged(at, "no event begins here")
            if before and 0 < (before - ticks) % (2 * half) < half:
                raise self.damaged(at, "an event that is older than the one before")
            event, is_wanted = known[key]
            end = body + event.fields.layout.size
            if end > len(data):
                raise self.damaged(at, "the file ends within an event")
            if self.full_at is None and end > room:
                self.full_at = ticks
            if is_wanted:
                yield Happened(ticks, at, event, event.fields.layout.unpack_from(data, body))
            at, before = end, ticks

    def _room(self) -> int:
        """The offset from which on not every event had room. Buffers have sizes as people give them: a power of two, or
        so many MiB. A file that is as long as that leaves no room was full."""
        begin, longest = self._metadata.packet.layout.size, self._metadata.header.layout.size + _LONGEST_CALL
        used = len(self._data) - begin
        for size in (1 << used.bit_length(), -(-used >> 20) << 20):
            if used >= _SMALLEST and used + longest + self._metadata.header.align > size:
                return begin + size - longest - self._metadata.header.align
        return len(self._data)


def _number(value: int | bytes) -> int:
    return value if isinstance(value, int) else int.from_bytes(value, "little")
