# SPDX-License-Identifier: BSD-3-Clause
"""What a cell's process had resident, from what the memory probe found in its phases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from allocmark.results.records import MeasuredCell


@dataclass(frozen=True)
class Memory:
    """Bytes; hugetlb pages are included. None where something is not known.

    ``live`` are those of the objects that the workload holds at most. The others are beyond what the process had before
    the backend was started: ``resident`` after the samples, ``retained`` after every object was put back.
    """

    live: int | None
    resident: int | None
    retained: int | None


def memory_of(cell: MeasuredCell) -> Memory | None:
    """None where nothing is known, as in files of older versions."""
    start, after, drained = (resident(cell, phase) for phase in ("start", "after", "drained"))
    live = cell.attestation.get("live_bytes")
    found = Memory(live if isinstance(live, int) else None, _beyond(after, start), _beyond(drained, start))
    return found if (found.resident, found.retained) != (None, None) else None


def resident(cell: MeasuredCell, phase: str = "after") -> int | None:
    """Resident bytes of the cell's process, hugetlb pages included: after its samples, or in another phase."""
    found: Any = cell.probes
    for key in (phase, "memory", "process", "resident"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, int) else None


def _beyond(bytes_: int | None, start: int | None) -> int | None:
    return None if bytes_ is None or start is None else max(0, bytes_ - start)
