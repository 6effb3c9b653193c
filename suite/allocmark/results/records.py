# SPDX-License-Identifier: BSD-3-Clause
"""What the lines of a run file say: the records, and the checks a line must pass to become one.

The fields of a record are the members of its line; members that are not known are left alone. The last member, "crc",
is the CRC-32 of the bytes of the line before it, in hexadecimal. Lines of older files have none.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from allocmark.errors import AllocmarkError
from allocmark.passes import registry

FORMAT = 3  #: 1 called a case a group; 1 and 2 had one process per cell, and no rounds
UNIT = "ns/object"

Count = Annotated[int, Meta(ge=0, le=10**18)]
#: Of a sample: less than a thousandth is below every clock, and no cell may be silent for a quarter of an hour.
Nanoseconds = Annotated[float, Meta(ge=1e-3, le=1e12)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
_LARGEST = 1e20  #: of the numbers in members of any shape; an address has up to 1.8e19
Status = Annotated[str, Meta(pattern="^(ok|failed|unavailable)$")]
Unit = Annotated[str, Meta(pattern=f"^{UNIT}$")]

_T = TypeVar("_T")


class RecordError(AllocmarkError):
    """What is wrong with a line, without its place."""


@dataclass(frozen=True)
class PlannedCell:
    """One backend variant that a case is to measure."""

    backend: str
    variant: str
    floor: bool

    @property
    def label(self) -> str:
        """``backend:variant``, as the command line takes it."""
        return f"{self.backend}:{self.variant}"


@dataclass(frozen=True)
class PlannedCase:
    """One workload with one set of parameters. ``digest`` identifies what the workload's file said."""

    case: Count
    workload: str
    digest: str
    parameters: Mapping[str, Any]
    actors: Count
    cells: tuple[PlannedCell, ...]

    @property
    def title(self) -> str:
        """The workload and its parameters, in one line."""
        return " ".join([self.workload, *(f"{key}={value}" for key, value in self.parameters.items())])


@dataclass(frozen=True)
class RunHeader:
    """What was asked, where and when. ``created`` is ISO 8601 in UTC; ``plan[i].case`` is i."""

    id: str
    created: str
    argv: Sequence[str]
    seed: Count
    baseline: str | None
    environment: Mapping[str, Any]
    settings: Mapping[str, Any]
    plan: tuple[PlannedCase, ...]


@dataclass(frozen=True, kw_only=True)
class MeasuredCell(PlannedCell):
    """What one backend variant gave in one case: in one round, as in a line, or in all, as `merge` makes it.

    ``samples`` are nanoseconds per object, over ``objects`` objects each; sample i lies in block ``blocks[i]``.
    ``disturbed`` says by sample index what happened to it ("steal", "descheduled"). ``layouts`` has for each process
    its round, what was drawn for it, and the addresses of its hot memory. ``passes`` has, by the name of a pass, the
    record of each that was made; in a line these are members of their own.
    """

    case: Count
    workload: str
    parameters: Mapping[str, Any]
    version: str
    status: Status
    objects: Count
    samples: Sequence[Nanoseconds]
    blocks: Sequence[Count]
    reason: str | None = None
    fix: str | None = None
    unit: Unit = UNIT
    disturbed: Mapping[Count, Sequence[str]] = field(default_factory=dict)
    attestation: Mapping[str, Any] = field(default_factory=dict)
    probes: Mapping[str, Any] = field(default_factory=dict)
    setup_seconds: Seconds = 0.0
    layouts: Sequence[Mapping[str, Any]] = ()
    passes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """One sample of every cell, interleaved.

    Measured beside it: ``distance_ns``, the core-to-core round trip, None on one core, and ``pace_ns``, what copying a
    kilobyte in its cache took the slowest CPU, None where it is not known; ``changed``: one of them moved during the
    block. ``round`` is the one that it belongs to.
    """

    distance_ns: Nanoseconds | None
    changed: bool
    round: Count = 0
    pace_ns: Nanoseconds | None = None


@dataclass(frozen=True)
class MeasuredCase:
    """A case in one round, as in a line, or in all: its cells in the order of the plan, and its blocks.

    Resuming measures a case with a failed cell again: the rounds of a later ``attempt`` replace those of earlier ones.
    ``cut_short``: in format 2, the run was stopped in it. ``pass_paces``: as `Block.pace_ns`, of each timed pass beside
    the samples, in the blocks of this round that it kept.
    """

    case: Count
    cells: tuple[MeasuredCell, ...]
    blocks: tuple[Block, ...]
    seconds: Seconds
    measured_seconds: Seconds
    round: Count = 0
    attempt: Count = 0
    cut_short: bool = False
    pass_paces: Mapping[str, Nanoseconds] = field(default_factory=dict)

    @property
    def rounds(self) -> int:
        """How many rounds it has."""
        return len({block.round for block in self.blocks})

    @property
    def failed(self) -> bool:
        """Whether a cell failed."""
        return any(cell.status == "failed" for cell in self.cells)


@dataclass(frozen=True)
class End:
    """The run is over. ``measured_seconds`` were spent in samples and warm-up; ``rounds`` are those of all cases."""

    seconds: Seconds
    measured_seconds: Seconds
    interrupted: bool
    rounds: Count | None = None


def encode(kind: str, record: RunHeader | MeasuredCell | MeasuredCase | End) -> bytes:
    """The line of a record; a case's cells are lines of their own. RecordError for what JSON cannot hold."""
    if isinstance(record, MeasuredCase):
        record = replace(record, cells=())
    try:
        members = {"type": kind, **msgspec.to_builtins(record)}
        if isinstance(record, RunHeader):
            members["format"] = FORMAT
        elif isinstance(record, MeasuredCase):
            del members["cells"]
        elif isinstance(record, MeasuredCell):
            members |= members.pop("passes")
        # Not msgspec, which writes null for NaN.
        text = json.dumps(members, allow_nan=False, separators=(",", ":"))
        if "\\udc" in text:
            text = json.dumps(_readable(members), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise RecordError(f"a {kind} line holds a value that JSON cannot: {error}") from error
    return sealed(text.encode("ascii"))


def _readable(value: Any) -> Any:
    """The same, with \\udce9 spelled out for a byte of a path that is no UTF-8: JSON has no such character."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_readable(key): _readable(each) for key, each in value.items()}
    return [_readable(each) for each in value] if isinstance(value, list | tuple) else value


def as_named(path: str) -> str:
    """A path of a record, with the bytes that `encode` spelled out."""
    return re.sub(r"\\u(dc[89a-f][0-9a-f])", lambda found: chr(int(found[1], 16)), path)


def sealed(text: bytes) -> bytes:
    """The line of a JSON object, its checksum added."""
    body = text[:-1]
    return body + _seal(body)


def is_sealed(line: bytes) -> bool:
    """Whether the line has a checksum, right or wrong."""
    return line[-_SEAL:].startswith(b',"crc":"')


def _seal(body: bytes) -> bytes:
    return b',"crc":"%08x"}\n' % zlib.crc32(body)


_SEAL = len(_seal(b""))


def check_seal(line: bytes) -> None:
    """Raises RecordError when the line is not as it was written."""
    if not is_sealed(line):
        raise RecordError("has no checksum at its end, as the first line has")
    if line != line[:-_SEAL] + _seal(line[:-_SEAL]):
        raise RecordError("its checksum is wrong: the line is not as it was written")


def decode(line: bytes) -> dict[str, Any]:
    """The members of a line, which must be complete and strict JSON. See `check_seal` for its checksum."""
    if not line.endswith(b"\n"):
        raise RecordError("cut off before its end")
    try:
        record = msgspec.json.decode(line)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise RecordError(f"not JSON ({error})") from error
    if not isinstance(record, dict):
        raise RecordError("expected an object")
    return _renamed(record)


def _renamed(record: dict[str, Any]) -> dict[str, Any]:
    """A line of format 1, in the words of format 2."""
    if record.get("type") == "group":
        record["type"] = "case"
    plan = record.get("plan")
    plan = plan if isinstance(plan, list) else []
    for each in (record, *(item for item in plan if isinstance(item, dict))):
        if "group" in each:
            each["case"] = each.pop("group")
    return record


def typed(kind: type[_T], members: object, place: str = "") -> _T:
    """An object of the dataclass ``kind`` from what JSON gave. RecordError with what was expected, and where."""
    try:
        return msgspec.convert(members, kind, str_keys=True)
    except (msgspec.ValidationError, OverflowError) as error:
        raise RecordError(_explained(str(error), place)) from error


def header_from(members: Mapping[str, Any]) -> RunHeader:
    """The header of a decoded line whose type and format are known to be right."""
    _check_numbers(members, "environment", "settings")
    header = typed(RunHeader, members)
    if not isinstance(header.environment.get("machine", {}), Mapping):
        raise RecordError("environment.machine: expected an object")
    for index, case in enumerate(header.plan):
        if case.case != index:
            raise RecordError(f'"plan" has case {case.case} in place {index}')
        if len({cell.label for cell in case.cells}) < len(case.cells):
            raise RecordError(f'"plan" has a backend twice in case {index}')
        _check_numbers(vars(case), "parameters")
    return header


def cell_from(members: Mapping[str, Any]) -> MeasuredCell:
    """The cell of a decoded line."""
    _check_numbers(members, "parameters", "attestation", "probes", "layouts")
    # A file from before a pass, and a cell without, has no member or an empty one.
    found = {p.name: typed(p.record, members[p.name], p.name) for p in registry.PASSES if members.get(p.name, {}) != {}}
    cell = typed(MeasuredCell, {**members, "passes": {}})
    samples = len(cell.samples)
    if len(cell.blocks) != samples:
        raise RecordError(f'"blocks" has {len(cell.blocks)} entries for {samples} samples')
    if list(cell.blocks) != sorted(cell.blocks):
        raise RecordError('"blocks" does not ascend')
    if any(index >= samples for index in cell.disturbed):
        raise RecordError(f'"disturbed" names sample {max(cell.disturbed)} of {samples}')
    return replace(cell, passes=found)


def case_from(members: Mapping[str, Any], header: RunHeader) -> MeasuredCase:
    """The case of a decoded line, without its cells; it must be in the plan."""
    case = typed(MeasuredCase, {**members, "cells": ()})
    if case.case >= len(header.plan):
        raise RecordError(f"case {case.case} is not in the plan of {len(header.plan)}")
    return case


def check_cell(cell: MeasuredCell, case: MeasuredCase, header: RunHeader) -> None:
    """Raises RecordError when ``cell`` is not what was planned for its ``case``, or does not fit the case's blocks."""
    planned = header.plan[case.case]
    if cell.workload != planned.workload or cell.label not in {each.label for each in planned.cells}:
        raise RecordError(f"the cell {cell.label} of {cell.workload} is not planned in case {planned.case}")
    if cell.parameters != planned.parameters:
        raise RecordError(f"{cell.label} has other parameters than case {planned.case} in the plan")
    if PlannedCell(cell.backend, cell.variant, cell.floor) not in planned.cells:
        raise RecordError(f'{cell.label} has "floor" {str(cell.floor).lower()}, the plan has the opposite')
    blocks = len(case.blocks)
    if cell.blocks and cell.blocks[-1] >= blocks:
        raise RecordError(f"{cell.label} has block {cell.blocks[-1]} of {blocks}")
    if header.settings.get("verify") or cell.status != "ok":
        return
    # A floor whose companions all failed has no samples.
    if len(set(cell.blocks)) < blocks or not (blocks or cell.floor):
        raise RecordError(f"{cell.label} is ok and has samples in {len(set(cell.blocks))} of {blocks} blocks")
    wanted = header.settings.get("blocks", blocks)
    if blocks != wanted and not (case.cut_short or cell.floor):
        raise RecordError(f"{cell.label} has {blocks} blocks, the plan has {wanted}")
    if any(block.round != case.round for block in case.blocks):
        raise RecordError(f"round {case.round} of case {case.case} has blocks of another round")


def _check_numbers(members: Mapping[str, Any], *names: str) -> None:
    """Raises RecordError for numbers out of all bounds in members of any shape."""
    for name in names:
        waiting = [members.get(name)]
        while waiting:
            match waiting.pop():
                case int() | float() as number if not abs(number) < _LARGEST:
                    raise RecordError(f"{name}: expected numbers below {_LARGEST:g}")
                case dict() as found:
                    waiting += found.values()
                case list() | tuple() as found:
                    waiting += found


_WORDS = {
    "int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false", "null": "null",
    "array": "a list", "object": "an object",
}  # fmt: skip


def _explained(text: str, place: str) -> str:
    """msgspec's message in words for people: ``samples[0]: expected a number > 0.0``."""
    what, _, where = text.partition(" - at ")
    what = re.sub(r"`str` matching regex '\^\(?(.*?)\)?\$'", r"\1", what).replace("Object missing", "missing")
    what = re.sub("`(.*?)`", lambda m: " or ".join(_WORDS.get(word, f'"{word}"') for word in m[1].split(" | ")), what)
    what = re.sub(r"\d{7,}(\.0)?", lambda m: f"{float(m[0]):.0e}", what)
    where = where.replace("`", "").replace("key in", "a key of").replace("$.", f"{place}.".lstrip(".")) or place
    return f"{where}{where and ': '}{what[0].lower()}{what[1:]}"
