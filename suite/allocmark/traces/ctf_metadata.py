# SPDX-License-Identifier: BSD-3-Clause
"""The metadata of a trace that DPDK writes (CTF 1.8, its text TSDL): which events there are, and where fields lie."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from allocmark.errors import TraceError

METADATA = "metadata"  #: the file's name in the folder of a trace
_MOST_BYTES = 16 << 20
_DEEPEST = 8
_CODES = {8: "b", 16: "h", 32: "i", 64: "q"}  # of an integer, as `struct` has them
_LONGEST = 4096  # values of a field
_MARK = re.compile(r"[{};]")
_FIELD = re.compile(r"(\w+)\s+(\w+)\s*(?:\[\s*(\d{1,6})\s*\])?\Z")
_ALIGN = re.compile(r"align\s*\(\s*(\d{1,4})\s*\)\Z")


class _Statement(NamedTuple):
    """``HEAD;`` or ``HEAD { BODY } TAIL;``, and where it begins."""

    offset: int
    head: str
    body: list[_Statement] | None = None
    tail: str = ""


@dataclass(frozen=True)
class CtfStruct:
    """Fields one behind another: their values are ``layout``'s, of one name each. ``align`` in bytes."""

    layout: struct.Struct
    names: Sequence[str]
    align: int = 1


@dataclass(frozen=True)
class CtfEvent:
    """A kind of event."""

    name: str
    fields: CtfStruct


@dataclass(frozen=True)
class CtfMetadata:
    """What a folder's streams hold. ``frequency``: ticks of the clock per second, of which events have ``clock_bits``
    bits."""

    uuid: bytes
    version: str
    frequency: int
    clock_bits: int
    packet: CtfStruct  #: header and context
    header: CtfStruct  #: of an event
    events: Mapping[int, CtfEvent]


def read_metadata(path: Path) -> CtfMetadata:
    """TraceError says what is wrong, and where."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise TraceError(f"{path}: offset 0: {error.strerror}: expected the metadata of a DPDK trace") from error
    if len(raw) > _MOST_BYTES or not raw.lstrip().startswith(b"/* CTF"):
        raise TraceError(f"{path}: offset 0: no metadata of a DPDK trace: expected text that begins with /* CTF")
    return _Reader(path, raw).read()


class _Reader:
    def __init__(self, path: Path, raw: bytes) -> None:
        self._path = path
        text = raw.decode("latin-1")
        self._text = re.sub(r"/\*.*?\*/", lambda comment: " " * len(comment[0]), text, flags=re.DOTALL)
        self._types: dict[str, tuple[str, int]] = {}  # by name: code, and bits

    def _damaged(self, at: int, what: str) -> TraceError:
        return TraceError(f"{self._path}: offset {at}: {what}")

    def read(self) -> CtfMetadata:
        found, _ = self._block(0, 0)
        for each in found:
            if each.head.startswith("typealias"):
                self._learn(each)
        trace, clock, stream = (self._only(found, head) for head in ("trace", "clock", "stream"))
        if self._value(trace, "byte_order") != "le":
            raise self._damaged(trace.offset, "its numbers are not little-endian")
        uuid = re.sub(r"[^0-9a-f]", "", self._value(trace, "uuid"))
        if len(uuid) != 32:
            raise self._damaged(trace.offset, "no uuid")
        header = self._inner(stream, "event.header")
        fields = self._fields(header)
        if {"timestamp", "id"} - {name for name, _, _ in fields}:
            raise self._damaged(header.offset, "an event has no timestamp or no id")
        return CtfMetadata(
            uuid=bytes.fromhex(uuid),
            version=next((self._value(each, "dpdk_version") for each in found if each.head == "env"), ""),
            frequency=max(1, self._number(clock, "freq")),
            clock_bits=next(bits for name, _, bits in fields if name == "timestamp"),
            packet=self._struct(self._inner(trace, "packet.header"), self._inner(stream, "packet.context")),
            header=self._struct(header),
            events={
                self._number(each, "id"): CtfEvent(self._value(each, "name"), self._struct(self._inner(each, "fields")))
                for each in found
                if each.head == "event"
            },
        )

    def _block(self, begin: int, depth: int) -> tuple[list[_Statement], int]:
        """Statements from ``begin`` on, and where the block that holds them ends."""
        if depth > _DEEPEST:
            raise self._damaged(begin, "blocks within blocks, deeper than in any trace of DPDK")
        found: list[_Statement] = []
        while mark := _MARK.search(self._text, begin):
            head, end = self._text[begin : mark.start()].strip(), mark.end()
            if mark[0] == "}":
                if depth == 0:
                    raise self._damaged(mark.start(), "a } that ends nothing")
                return found, end
            body, tail = None, ""
            if mark[0] == "{":
                body, after = self._block(end, depth + 1)
                end = self._text.find(";", after) + 1
                if end == 0:
                    break
                tail = self._text[after : end - 1].strip()
            found.append(_Statement(mark.start(), head, body, tail))
            begin = end
        if depth or self._text[begin:].strip():
            raise self._damaged(len(self._text), "it ends within a declaration: the file is cut off")
        return found, len(self._text)

    def _only(self, among: Sequence[_Statement], head: str) -> _Statement:
        found = [each for each in among if each.head == head and each.body is not None]
        if len(found) != 1:
            raise self._damaged(0, f"{len(found)} declarations of {head}; expected one")
        return found[0]

    def _inner(self, outer: _Statement, name: str) -> _Statement:
        """``NAME := struct { … };``."""
        for each in outer.body or ():
            if re.fullmatch(rf"{re.escape(name)}\s*:=\s*struct", each.head):
                return each
        raise self._damaged(outer.offset, f"no {name}")

    def _value(self, outer: _Statement, name: str) -> str:
        for each in outer.body or ():
            key, _, value = each.head.partition("=")
            if key.strip() == name:
                return value.strip().strip('"')
        raise self._damaged(outer.offset, f"no {name}")

    def _number(self, outer: _Statement, name: str) -> int:
        value = self._value(outer, name)
        if not re.fullmatch(r"\d{1,19}", value):
            raise self._damaged(outer.offset, f"{name} is no number")
        return int(value)

    def _learn(self, alias: _Statement) -> None:
        """``typealias KIND { … } := NAME;``."""
        name = alias.tail.removeprefix(":=").strip()
        keys = {each.head.partition("=")[0].strip() for each in alias.body or ()}
        if alias.head.endswith("integer"):
            bits = self._number(alias, "size")
            signed = "signed" in keys and self._value(alias, "signed") == "true"
            code = _CODES.get(bits, f"{bits // 8}s")
            self._types[name] = (code if signed or code.endswith("s") else code.upper()), bits
        elif alias.head.endswith("floating_point"):
            bits = self._number(alias, "exp_dig") + self._number(alias, "mant_dig")
            self._types[name] = f"{bits // 8}s", bits
        if name not in self._types or self._types[name][1] not in range(8, 513, 8):
            raise self._damaged(alias.offset, "a type that is no whole number of bytes")

    def _fields(self, declared: _Statement) -> list[tuple[str, str, int]]:
        """Name, code and bits of each."""
        found = []
        for each in declared.body or ():
            parts = _FIELD.match(each.head)
            if not parts or parts[1] not in self._types:
                raise self._damaged(each.offset, "a field of no type that is declared")
            code, bits = self._types[parts[1]]
            n = int(parts[3] or 1)
            if not 1 <= n <= _LONGEST:
                raise self._damaged(each.offset, f"a field of {n} values")
            found.append((parts[2], code if n == 1 else f"{n * bits // 8}s", bits * n))
        return found

    def _struct(self, *declared: _Statement) -> CtfStruct:
        fields = [field for each in declared for field in self._fields(each)]
        align = max((int(found[1]) for each in declared if (found := _ALIGN.match(each.tail))), default=8)
        if align % 8 or align > 512:
            raise self._damaged(declared[0].offset, f"an alignment of {align} bits")
        layout = struct.Struct("<" + "".join(code for _, code, _ in fields))
        return CtfStruct(layout, [name for name, _, _ in fields], align // 8)
