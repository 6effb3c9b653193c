# SPDX-License-Identifier: BSD-3-Clause
"""What the lines of a run file say: the records, and the checks a line must pass to become one.

The fields of a record are the members of its line; members that are not known are left alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from allocmark.passes import reuse
from allocmark.passes.latency import latency_from

FORMAT = 2  #: 1 called a case a group
UNIT = "ns/object"
STATUSES = ("ok", "failed", "unavailable")


class RecordError(ValueError):
    """What is wrong with a line, without its place."""


@dataclass(frozen=True)
class PlannedCell:
    """One backend variant that a case is to measure."""

    backend: str
    variant: str
    floor: bool = False

    @property
    def label(self) -> str:
        """``backend:variant``, as the command line takes it."""
        return f"{self.backend}:{self.variant}"


@dataclass(frozen=True)
class PlannedCase:
    """One workload with one set of parameters. ``digest`` identifies what the workload's file said."""

    case: int
    workload: str
    digest: str
    parameters: Mapping[str, Any]
    actors: int
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
    seed: int
    baseline: str | None
    environment: Mapping[str, Any]
    settings: Mapping[str, Any]
    plan: tuple[PlannedCase, ...]


@dataclass(frozen=True)
class MeasuredCell:
    """What one backend variant gave in one case.

    ``samples`` are nanoseconds an object, over ``objects`` objects each; sample i lies in block
    ``blocks[i]``. ``disturbed`` says by sample index what happened to it ("steal", "descheduled").
    ``latency`` and ``reuse`` are what the passes of those names gave (latency.py, reuse.py), empty without them.
    """

    case: int
    workload: str
    parameters: Mapping[str, Any]
    backend: str
    variant: str
    floor: bool
    version: str
    status: str
    reason: str | None = None
    fix: str | None = None
    unit: str = UNIT
    objects: int = 0
    samples: Sequence[float] = ()
    blocks: Sequence[int] = ()
    disturbed: Mapping[int, Sequence[str]] = field(default_factory=dict)
    attestation: Mapping[str, Any] = field(default_factory=dict)
    probes: Mapping[str, Any] = field(default_factory=dict)
    setup_seconds: float = 0.0
    latency: Mapping[str, Any] = field(default_factory=dict)
    reuse: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """``backend:variant``, as the command line takes it."""
        return f"{self.backend}:{self.variant}"


@dataclass(frozen=True)
class Block:
    """One round of interleaved samples.

    ``distance_ns`` is the core-to-core round trip measured beside it, None on one core; ``changed``: it moved
    during the block.
    """

    distance_ns: float | None
    changed: bool


@dataclass(frozen=True)
class MeasuredCase:
    """A finished case: its cells in the order of the plan, and its blocks.

    ``cut_short``: the run was stopped in it, so it has fewer blocks than were asked for; resuming measures it again.
    """

    case: int
    cells: tuple[MeasuredCell, ...]
    blocks: tuple[Block, ...]
    seconds: float
    measured_seconds: float
    cut_short: bool = False


@dataclass(frozen=True)
class End:
    """The run is over. ``measured_seconds`` were spent in samples and warm-up."""

    seconds: float
    measured_seconds: float
    interrupted: bool


def encode(kind: str, record: RunHeader | MeasuredCell | MeasuredCase | End) -> bytes:
    """The line of a record; a case's cells are lines of their own. RecordError for what JSON cannot hold."""
    members: dict[str, Any] = {"type": kind}
    if isinstance(record, RunHeader):
        members["format"] = FORMAT
    members |= vars(record)
    if isinstance(record, MeasuredCase):
        del members["cells"]
    try:
        text = json.dumps(members, allow_nan=False, separators=(",", ":"), default=_members)
    except (TypeError, ValueError) as error:
        raise RecordError(f"a {kind} line holds a value that JSON cannot: {error}") from error
    return text.encode("ascii") + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The members of a line, which must be complete and strict JSON."""
    if not line.endswith(b"\n"):
        raise RecordError("cut off before its end")
    try:
        record = json.loads(line.decode("utf-8"), parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not JSON ({error})") from error
    if not isinstance(record, dict):
        raise RecordError(f"{_shown(record)}, expected an object")
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


def header_from(record: Mapping[str, Any]) -> RunHeader:
    """The header of a decoded line whose type and format are known to be right."""
    members = _take(record, _HEADER)
    plan = []
    for index, item in enumerate(members["plan"]):
        if not isinstance(item, dict):
            raise RecordError(f'"plan" holds {_shown(item)}, expected objects')
        case = _take(item, _PLANNED_CASE)
        if case["case"] != index:
            raise RecordError(f'"plan" has case {case["case"]} in place {index}')
        cells = tuple(PlannedCell(**_take(cell, _PLANNED_CELL)) for cell in case.pop("cells"))
        plan.append(PlannedCase(cells=cells, **case))
    members["plan"] = tuple(plan)
    return RunHeader(**members)


def cell_from(record: Mapping[str, Any]) -> MeasuredCell:
    """The cell of a decoded line."""
    members = _take(record, _CELL)
    members |= _take(record, {name: kind for name, kind in _CELL_SINCE.items() if name in record})
    members["disturbed"] = {int(index): what for index, what in members["disturbed"].items()}
    samples = len(members["samples"])
    if len(members["blocks"]) != samples:
        raise RecordError(f'"blocks" has {len(members["blocks"])} entries for {samples} samples')
    if any(index >= samples for index in members["disturbed"]):
        raise RecordError(f'"disturbed" names sample {max(members["disturbed"])} of {samples}')
    return MeasuredCell(**members)


def case_from(record: Mapping[str, Any], cells: Sequence[MeasuredCell], plan: Sequence[PlannedCase]) -> MeasuredCase:
    """The case of a decoded line and of the cells before it; they must be what was planned."""
    members = _take(record, _CASE)
    members["blocks"] = tuple(Block(**_take(block, _BLOCK)) for block in members["blocks"])
    if members["case"] >= len(plan):
        raise RecordError(f"case {members['case']} is not in the plan of {len(plan)}")
    planned = plan[members["case"]]
    order = [cell.label for cell in planned.cells]
    open_cells = set(order)
    for cell in cells:
        if cell.case != planned.case or cell.workload != planned.workload or cell.label not in open_cells:
            raise RecordError(f"the cell {cell.label} of case {cell.case} is not planned in case {planned.case}")
        open_cells.remove(cell.label)
        if any(block >= len(members["blocks"]) for block in cell.blocks):
            raise RecordError(f"{cell.label} has block {max(cell.blocks)} of {len(members['blocks'])}")
    return MeasuredCase(cells=tuple(sorted(cells, key=lambda cell: order.index(cell.label))), **members)


def end_from(record: Mapping[str, Any]) -> End:
    """The end of a decoded line."""
    return End(**_take(record, _END))


def _members(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, PlannedCase | PlannedCell | Block):
        return vars(value)
    raise TypeError(f"{type(value).__name__} {value!r}")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is too large")
    return value


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


class _Kind(NamedTuple):
    words: str
    holds: Callable[[Any], bool]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _list_of(words: str, holds: Callable[[Any], bool]) -> _Kind:
    return _Kind(f"a list of {words}", lambda v: isinstance(v, list) and all(map(holds, v)))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_map(value: object) -> bool:
    return isinstance(value, dict)


def _is_latency(value: Mapping[str, Any]) -> bool:
    try:
        latency_from(value)
    except ValueError:
        return False
    return True


_TEXT = _Kind("a text", _is_text)
_TEXT_OR_NULL = _Kind("a text or null", lambda v: v is None or _is_text(v))
_FLAG = _Kind("true or false", lambda v: isinstance(v, bool))
_COUNT = _Kind("a whole number from 0", _is_count)
_WHOLE = _Kind("a whole number", lambda v: isinstance(v, int) and not isinstance(v, bool))
_SECONDS = _Kind("a number from 0", lambda v: _is_number(v) and v >= 0)
_DISTANCE = _Kind("a number above 0 or null", lambda v: v is None or (_is_number(v) and v > 0))
_MAP = _Kind("an object", _is_map)
_TEXTS = _list_of("texts", _is_text)
_MAPS = _list_of("objects", _is_map)

_HEADER = {
    "id": _TEXT, "created": _TEXT, "argv": _TEXTS, "seed": _WHOLE, "baseline": _TEXT_OR_NULL,
    "environment": _MAP, "settings": _MAP, "plan": _MAPS,
}  # fmt: skip
_PLANNED_CASE = {
    "case": _COUNT, "workload": _TEXT, "digest": _TEXT, "parameters": _MAP, "actors": _COUNT, "cells": _MAPS,
}  # fmt: skip
_PLANNED_CELL = {"backend": _TEXT, "variant": _TEXT, "floor": _FLAG}
_CELL = {
    "case": _COUNT, "workload": _TEXT, "parameters": _MAP,
    "backend": _TEXT, "variant": _TEXT, "floor": _FLAG, "version": _TEXT,
    "status": _Kind("one of " + ", ".join(STATUSES), lambda v: v in STATUSES),
    "reason": _TEXT_OR_NULL, "fix": _TEXT_OR_NULL,
    "unit": _Kind(UNIT, lambda v: v == UNIT),
    "objects": _COUNT,
    "samples": _list_of("numbers above 0", lambda v: _is_number(v) and v > 0),
    "blocks": _list_of("whole numbers from 0", _is_count),
    "disturbed": _Kind(
        "lists of texts by sample index",
        lambda v: _is_map(v) and all(i.isdecimal() and _TEXTS.holds(what) for i, what in v.items()),
    ),
    "attestation": _MAP, "probes": _MAP, "setup_seconds": _SECONDS,
}  # fmt: skip
#: Members that older files do not have.
_CELL_SINCE = {
    "latency": _Kind("a latency pass", lambda v: _is_map(v) and _is_latency(v)),
    "reuse": _Kind("figures of reuse", lambda v: _is_map(v) and reuse.problem(v) is None),
}
_CASE = {"case": _COUNT, "blocks": _MAPS, "seconds": _SECONDS, "measured_seconds": _SECONDS, "cut_short": _FLAG}
_BLOCK = {"distance_ns": _DISTANCE, "changed": _FLAG}
_END = {"seconds": _SECONDS, "measured_seconds": _SECONDS, "interrupted": _FLAG}


def _take(record: Mapping[str, Any], shape: Mapping[str, _Kind]) -> dict[str, Any]:
    for name, kind in shape.items():
        if name not in record:
            raise RecordError(f'"{name}" is missing')
        if not kind.holds(record[name]):
            raise RecordError(f'"{name}" is {_shown(record[name])}, expected {kind.words}')
    return {name: record[name] for name in shape}
