# SPDX-License-Identifier: BSD-3-Clause
"""Trips to shared state for each object, in three life-cycles of objects: TurboMem beside every DPDK that is there.

    python backends/turbomem_c/bench/trips.py [BACKEND ...]

Counted as `allocmark size` does, with the actors in turns, and not timed: the figures are the same in every run. The
README of the backend dpdk_ring says how to have several releases of DPDK.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tabulate import tabulate

from allocmark.discovery import discover
from allocmark.errors import AllocmarkError
from allocmark.measuring.request import Request
from allocmark.sizing.sizing import count_sizes, plan_sizes

OURS, RIVALS = "turbomem:base", "dpdk_ring:ring_mp_mc-base*"
#: each with what it has beside the bulk; bursts of 8 bulks where one core does both
LIFE_CYCLES = {"same_core": {"bursts": ["8"]}, "two_cores": {}, "hold_and_release": {}}
CACHES = (64, 256, 512)
BULKS = (1, 8, 32, 128)


class Count(NamedTuple):
    """Of a backend in a life-cycle with bulks and caches of one size: objects that a thread keeps, trips for each
    object that was got, and objects of the smallest pool that others cannot reach; None: it makes no smaller one."""

    backend: str
    cycle: str
    cache: int
    bulk: int
    keeps: int
    trips: float
    stranded: int | None


def counted(
    backends: Sequence[str],
    cycles: Sequence[str] = tuple(LIFE_CYCLES),
    caches: Sequence[int] = CACHES,
    bulks: Sequence[int] = BULKS,
) -> Iterator[Count]:
    """Raises UsageError for a backend that is not there, AllocmarkError for one that cannot be counted."""
    host = discover()
    for cycle in cycles:
        wanted = {"burst": [str(bulk) for bulk in bulks], **LIFE_CYCLES[cycle]}
        request = Request(workloads=[cycle], backends=[*backends], overrides=wanted)
        cases = plan_sizes(request, host).cases
        for bulk, found in zip(bulks, count_sizes(cases, caches, request.timeout, lambda _: None), strict=True):
            for backend in found.backends:
                if backend.reason:
                    raise AllocmarkError(f"{backend.label}: {backend.reason}")
                for size in backend.sizes:
                    if size.refused or size.trips_per_object is None:
                        raise AllocmarkError(f"{backend.label}, cache {size.cache}: {size.refused or 'tells no trips'}")
                    (pool,) = size.pools
                    yield Count(
                        backend.label, cycle, size.cache, bulk, int(pool.keeps), size.trips_per_object, pool.stranded
                    )


def table(counts: Sequence[Count]) -> str:
    """A row for each life-cycle, backend and cache; a column for each bulk. Markdown."""
    bulks = dict.fromkeys(each.bulk for each in counts)
    rows: dict[tuple[str, str, int], dict[int, Count]] = {}
    for each in counts:
        rows.setdefault((each.cycle, each.backend, each.cache), {})[each.bulk] = each
    body = [
        [cycle, backend, cache, next(iter(row.values())).keeps, *(f"{row[bulk].trips:.4f}" for bulk in bulks)]
        for (cycle, backend, cache), row in rows.items()
    ]
    heads = ["life-cycle", "pool", "cache", "keeps", *(f"bulk {bulk}" for bulk in bulks)]
    return tabulate(body, heads, tablefmt="github", disable_numparse=True)


if __name__ == "__main__":
    try:
        print(table([*counted(sys.argv[1:] or [OURS, RIVALS])]))
    except AllocmarkError as error:
        sys.exit(f"trips: {error}")
