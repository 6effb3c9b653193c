# SPDX-License-Identifier: BSD-3-Clause
"""Resident memory of the process and of each pool, and the bytes per object beyond the object's size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from allocmark.probes import PoolMemory, Probe, ProbeContext
from allocmark.system.mappings import backing


def parse_status(text: str) -> int | None:
    """Resident bytes from ``/proc/PID/status``, hugetlb pages included; None where they are not given."""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    if "VmRSS" not in fields:
        return None
    return sum(int(fields.get(key, "0").split()[0]) for key in ("VmRSS", "HugetlbPages")) * 1024


def of_process(pid: int) -> dict[str, Any]:
    """``{"resident": bytes}`` or ``{"unknown": reason}``."""
    try:
        resident = parse_status(Path(f"/proc/{pid}/status").read_text(errors="replace"))
    except OSError as error:
        return {"unknown": f"/proc/{pid}/status: {error.strerror}"}
    return {"unknown": "the kernel gives no VmRSS"} if resident is None else {"resident": resident}


def of_pool(pid: int, pool: PoolMemory) -> dict[str, Any]:
    """Bytes of the regions, how many of them are resident, and resident bytes per object beyond its size.

    ``over_size`` is resident bytes divided by the objects asked for, less the size of an object: below zero while part
    of a pool was never touched. It is left out where only whole mappings can be counted (``of`` = "mappings"), and
    where not all regions are looked at.
    """
    if not pool.regions:
        return {"unknown": "the backend does not report where its objects lie"}
    found = backing(pid, [(address, address + length) for address, length in pool.regions])
    if isinstance(found, str):
        return {"unknown": found}
    result: dict[str, Any] = {
        "bytes": sum(length for _, length in pool.regions),
        "resident": found.resident,
        "of": "regions" if found.exact else "mappings",
        "source": found.source,
    }
    if found.exact and pool.objects_asked and pool.complete:
        result["over_size"] = found.resident / pool.objects_asked - pool.object_size
    return result


def measure(context: ProbeContext) -> dict[str, Any]:
    """``{"process": {...}, "pools": {NAME: {...}}}``; see `of_process` and `of_pool`."""
    return {
        "process": of_process(context.pid),
        "pools": {pool.name: of_pool(context.pid, pool) for pool in context.pools},
    }


MEMORY = Probe(
    "memory",
    "resident bytes of the process and of each pool, and bytes per object beyond its size",
    "bytes",
    measure,
)
