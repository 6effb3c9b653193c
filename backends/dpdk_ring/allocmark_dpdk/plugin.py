# SPDX-License-Identifier: BSD-3-Clause
"""The entry point: one variant for each mempool handler on each kind of pages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import allocmark
from allocmark import Backend, Capabilities, Pages, Unavailable
from allocmark.system.availability import hugetlb_unavailable, thp_unavailable

_INSTALL = "apt-get install libdpdk-dev pkg-config && make setup"


class _Handler(NamedTuple):
    name: str
    description: str
    capabilities: Capabilities = Capabilities()


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
_PKTMBUF = _Handler("pktmbuf", "packet buffers, by rte_pktmbuf_alloc_bulk and free_bulk: what applications pay")

#: not DPDK's own: a driver that is loaded beside those
_TURBOMEM = _Handler("turbomem", "TurboMem's driver: magazines over a lock-free depot")

_PAGES = {Pages.HUGETLB: "hugetlb pages of 2 MB", Pages.BASE: "base pages (--no-huge)"}
_TURBOMEM_PAGES = _PAGES | {Pages.THP: "transparent huge pages (--no-huge)"}


class _Tables(NamedTuple):
    """Where they are; None where there is no DPDK."""

    mempool: int | None = None
    pktmbuf: int | None = None


def _load() -> tuple[_Tables, str, Unavailable | None]:
    """The addresses of the tables, DPDK's version, and why there is no table. Starts nothing of DPDK."""
    try:
        from allocmark_dpdk._native import ffi, lib
    except ModuleNotFoundError:
        return _Tables(), "", Unavailable("libdpdk was not there when allocmark-dpdk was built", _INSTALL)
    except ImportError as error:
        return _Tables(), "", Unavailable(f"DPDK does not load: {error}", _INSTALL)
    version = ffi.string(lib.allocmark_dpdk_version()).decode()
    found = (lib.allocmark_dpdk_table(), lib.allocmark_dpdk_mbuf_table())
    return _Tables(*(int(ffi.cast("uintptr_t", each)) for each in found)), version.removeprefix("DPDK "), None


def _turbomem_driver() -> Path | None:
    """TurboMem's driver, where its distribution is installed and was built with DPDK."""
    try:
        from allocmark_turbomem import dpdk_driver
    except ImportError:
        return None
    return dpdk_driver()


def variants(tables: _Tables, version: str, missing: Unavailable | None, driver: Path | None = None) -> list[Backend]:
    """Describe every variant; where ``missing`` says why there is no DPDK, all of them are unavailable."""
    obstacles = {
        Pages.HUGETLB: missing or hugetlb_unavailable(),
        Pages.BASE: missing,
        Pages.THP: missing or thp_unavailable(),
    }
    undriven = None if driver else Unavailable("TurboMem's driver for DPDK is not installed", _INSTALL)
    found = []
    for handler in [*_HANDLERS, _PKTMBUF, _TURBOMEM]:
        ours, mbufs = handler is _TURBOMEM, handler is _PKTMBUF
        for pages, pages_description in (_TURBOMEM_PAGES if ours else _PAGES).items():
            obstacle = obstacles[pages] or (undriven if ours else None)
            options = {"handler": handler.name, "pages": str(pages)}
            if mbufs:
                options |= {"handler": "ring_mp_mc", "objects": "mbuf"}
            found.append(
                Backend(
                    name="dpdk_ring",
                    variant=f"{handler.name}-{pages}",
                    description=f"rte_mempool, {handler.description}; {pages_description}",
                    version=version,
                    table=None if obstacle else tables.pktmbuf if mbufs else tables.mempool,
                    unavailable=obstacle,
                    # With --no-huge, DPDK leaves the node of a page to the kernel.
                    capabilities=replace(handler.capabilities, numa=True)
                    if pages is Pages.HUGETLB
                    else handler.capabilities,
                    pages=pages,
                    default=(handler.name, pages) == ("ring_mp_mc", Pages.HUGETLB),
                    options=options | ({"driver": str(driver)} if ours and driver else {}),
                )
            )
    return found


@allocmark.hookimpl
def allocmark_backends() -> list[Backend]:
    return variants(*_load(), driver=_turbomem_driver())
