# SPDX-License-Identifier: BSD-3-Clause
"""The entry point: one variant for each mempool handler on each kind of pages, of each DPDK."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import allocmark
from allocmark import Backend, Capabilities, Pages, Unavailable
from allocmark.system.availability import hugetlb_unavailable, thp_unavailable
from allocmark_dpdk.release import INSTALL, Release, releases


class _Handler(NamedTuple):
    name: str
    description: str
    capabilities: Capabilities = Capabilities()
    table: str = "mempool"
    library: str = "mempool"
    what: str = "rte_mempool"


_HANDLERS = [
    _Handler("ring_mp_mc", "ring, many producers and consumers: DPDK's default"),
    _Handler("ring_mt_rts", "ring with relaxed tail update, for more threads than cores"),
    _Handler("ring_mt_hts", "ring with serialised head and tail, for more threads than cores"),
    _Handler(
        "ring_sp_sc",
        "ring of a single producer and consumer: one actor alone",
        Capabilities(thread_safe=False, cross_thread_free=False, max_actors=1),
    ),
    _Handler("stack", "stack behind a spin lock: last in, first out"),
    _Handler("lf_stack", "lock-free stack: last in, first out"),
    _Handler("bucket", "contiguous chunks of objects, kept together"),
]

#: packet buffers, which begin with an rte_mbuf, over DPDK's default handler
_PKTMBUF = _Handler(
    "pktmbuf", "packet buffers, by rte_pktmbuf_alloc_bulk and free_bulk: what applications pay", table="mbuf"
)

#: no mempool: the heap that these are made in
_HEAP = _Handler("rte_malloc", "objects of any size", Capabilities(any_size=True), "heap", "eal", "DPDK's heap")

#: not DPDK's own: a driver that is loaded beside those
_TURBOMEM = _Handler("turbomem", "TurboMem's driver: magazines over a lock-free depot")

_PAGES = {Pages.HUGETLB: "hugetlb pages of 2 MB", Pages.BASE: "base pages (--no-huge)"}
_TURBOMEM_PAGES = _PAGES | {Pages.THP: "transparent huge pages (--no-huge)"}


def _turbomem_driver() -> Path | None:
    """TurboMem's driver, where its distribution is installed and was built with DPDK."""
    try:
        from allocmark_turbomem import dpdk_driver
    except ImportError:
        return None
    return dpdk_driver()


def variants(release: Release, driver: Path | None = None) -> list[Backend]:
    """Describe every variant of a DPDK; where it is missing, all of them are unavailable."""
    obstacles = {
        Pages.HUGETLB: release.missing or hugetlb_unavailable(),
        Pages.BASE: release.missing,
        Pages.THP: release.missing or thp_unavailable(),
    }
    undriven = None if driver else Unavailable("TurboMem's driver for DPDK is not installed", INSTALL)
    # TurboMem's driver is built for the DPDK that its own package was built with.
    handlers = [*_HANDLERS, _PKTMBUF, _HEAP, *([] if release.suffix else [_TURBOMEM])]
    found = []
    for handler in handlers:
        ours = handler is _TURBOMEM
        for pages, pages_description in (_TURBOMEM_PAGES if ours else _PAGES).items():
            obstacle = obstacles[pages] or (undriven if ours else None)
            options = {"handler": handler.name, "pages": str(pages)}
            if handler.table != "mempool":
                options |= {"handler": "ring_mp_mc", "objects": handler.table}
            found.append(
                Backend(
                    name="dpdk_ring",
                    variant=f"{handler.name}-{pages}{release.suffix}",
                    description=f"{handler.what}, {handler.description}; {pages_description}",
                    version=release.version,
                    load=None if obstacle else partial(release.load_table, handler.table),
                    unavailable=obstacle,
                    # With --no-huge, DPDK leaves the node of a page to the kernel.
                    capabilities=replace(handler.capabilities, numa=True)
                    if pages is Pages.HUGETLB and handler is not _HEAP
                    else handler.capabilities,
                    pages=pages,
                    default=(handler.name, pages, release.suffix) == ("ring_mp_mc", Pages.HUGETLB, ""),
                    options=options | ({"driver": str(driver)} if ours and driver else {}),
                    environ=release.environ(),
                    library=(release.files or {}).get(handler.library, ""),
                )
            )
    # A folder of which nothing is known is listed once.
    return found[:1] if release.suffix and not release.version else found


@allocmark.hookimpl
def allocmark_backends() -> list[Backend]:
    driver = _turbomem_driver()
    return [backend for release in releases() for backend in variants(release, driver)]
