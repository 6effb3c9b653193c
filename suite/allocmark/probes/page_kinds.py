# SPDX-License-Identifier: BSD-3-Clause
"""Page kinds under each pool: base pages, transparent huge pages (THP), hugetlb pages."""

from __future__ import annotations

from typing import Any

from allocmark.probes import PoolMemory, Probe, ProbeContext
from allocmark.system.mappings import Range, backing


def ranges_of(pool: PoolMemory) -> tuple[list[Range], str]:
    """The memory to look at, and which it is: the pool's "regions", or else its "sampled objects"."""
    if pool.regions:
        return [(address, address + length) for address, length in pool.regions], "regions"
    return [(address, address + pool.object_size) for address in pool.objects], "sampled objects"


def of_pool(pid: int, pool: PoolMemory) -> dict[str, Any]:
    """The page kinds under one pool, in bytes; ``{"unknown": reason}`` when the kernel does not tell.

    ``huge_share`` is (hugetlb + thp) / resident, None when nothing is resident. ``of`` says what was looked
    at: "regions", "sampled objects", or "mappings" where only whole mappings could be counted.
    """
    ranges, of = ranges_of(pool)
    if not ranges:
        return {"unknown": "the backend reports no regions and no object was sampled"}
    found = backing(pid, ranges)
    if isinstance(found, str):
        return {"unknown": found}
    return {
        "bytes": sum(end - start for start, end in ranges),
        "resident": found.resident,
        "hugetlb": found.hugetlb,
        "thp": found.thp,
        "base": found.base,
        "thp_possible": found.thp_possible,
        "huge_share": (found.hugetlb + found.thp) / found.resident if found.resident else None,
        "page_size": found.page_size,
        "advice": found.advice,
        "mappings": found.mappings,
        "of": of if found.exact else "mappings",
        "source": found.source,
    }


def measure(context: ProbeContext) -> dict[str, Any]:
    """``{"pools": {NAME: page kinds}}``; see `of_pool`."""
    return {"pools": {pool.name: of_pool(context.pid, pool) for pool in context.pools}}


PAGES = Probe("pages", "page kinds under each pool: base, THP, hugetlb", "bytes", measure)
