# SPDX-License-Identifier: BSD-3-Clause
"""What a cell keeps in memory, from what the memory probe found in its phases, and its backend's own facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from allocmark.results.records import MeasuredCell


@dataclass(frozen=True)
class Memory:
    """Bytes; hugetlb pages are included. None where something is not known.

    ``live`` are those of the objects that the workload holds at most. The others are beyond what the process had before
    the backend was started: ``resident`` after the samples, ``retained`` after every object was put back. ``arena`` is
    what the backend has of the kernel, touched or not; ``growth`` what was more resident after the last sample than
    after the first.
    """

    live: int | None
    resident: int | None
    arena: int | None
    growth: int | None
    retained: int | None


def memory_of(cell: MeasuredCell) -> Memory | None:
    """None where nothing is known, as in files of older versions."""
    start, after, drained = (resident(cell, phase) for phase in ("start", "after", "drained"))
    live, growth = (_whole(cell.attestation.get(key)) for key in ("live_bytes", "growth_bytes"))
    found = Memory(live, _beyond(after, start), arena(cell), growth, _beyond(drained, start))
    return found if (found.resident, found.retained) != (None, None) else None


def arena(cell: MeasuredCell) -> int | None:
    """Bytes that the backend has of the kernel, as it says itself: a malloc by facts of its process, a pool by its
    regions."""
    facts = cell.attestation.get("process")
    if isinstance(facts, Mapping) and _whole(facts.get("arena_bytes")) is not None:
        return sum(_whole(facts.get(key)) or 0 for key in ("arena_bytes", "mapped_bytes"))
    pools = _member(cell.probes, "after", "memory", "pools")
    held = [_whole(_member(found, "bytes")) for found in pools.values()] if isinstance(pools, Mapping) else []
    known = [bytes_ for bytes_ in held if bytes_ is not None]
    return sum(known) if known and len(known) == len(held) else None


def resident(cell: MeasuredCell, phase: str = "after") -> int | None:
    """Resident bytes of the cell's process, hugetlb pages included: after its samples, or in another phase."""
    return _whole(_member(cell.probes, phase, "memory", "process", "resident"))


def _member(found: Any, *path: str) -> Any:
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _whole(found: Any) -> int | None:
    """A number of bytes; facts of a backend are texts."""
    if isinstance(found, str) and len(found) < 20 and found.isdecimal():
        return int(found)
    return found if isinstance(found, int) else None


def _beyond(bytes_: int | None, start: int | None) -> int | None:
    return None if bytes_ is None or start is None else max(0, bytes_ - start)
