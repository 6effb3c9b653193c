# SPDX-License-Identifier: BSD-3-Clause
"""The entry point: one variant for each mempool handler on each kind of pages."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import allocmark
from allocmark import Backend, Capabilities, Pages, Unavailable

HUGE_PAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")

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
    _Handler("bucket", "contiguous blocks of objects, kept together"),
]

_PAGES = {Pages.HUGETLB: "hugetlb pages of 2 MB", Pages.BASE: "base pages (--no-huge)"}


def _load() -> tuple[int | None, str, Unavailable | None]:
    """The address of the table, DPDK's version, and why there is no table. Starts nothing of DPDK."""
    try:
        from allocmark_dpdk._native import ffi, lib
    except ModuleNotFoundError:
        return None, "", Unavailable("libdpdk was not there when allocmark-dpdk was built", _INSTALL)
    except ImportError as error:
        return None, "", Unavailable(f"DPDK does not load: {error}", _INSTALL)
    version = ffi.string(lib.allocmark_dpdk_version()).decode()
    return int(ffi.cast("uintptr_t", lib.allocmark_dpdk_table())), version.removeprefix("DPDK "), None


def _no_huge_pages(folder: Path) -> Unavailable | None:
    """Why no huge page of 2 MB can be had, as far as the kernel tells beforehand."""
    limit = folder / "nr_overcommit_hugepages"
    try:
        total, free, reserved, surplus, overcommit = (
            int((folder / name).read_text())
            for name in (
                *("nr_hugepages", "free_hugepages", "resv_hugepages", "surplus_hugepages"),
                limit.name,
            )
        )
    except OSError:
        return Unavailable("the kernel has no huge pages of 2 MB", "boot a kernel with CONFIG_HUGETLBFS=y")
    if free > reserved or overcommit > surplus or os.access(limit, os.W_OK):
        return None
    return Unavailable(
        "no huge page of 2 MB is free, and this user may not reserve any",
        f"echo {total + 256} | sudo tee /proc/sys/vm/nr_hugepages",
    )


def variants(
    table: int | None, version: str, missing: Unavailable | None, huge_pages: Path = HUGE_PAGES
) -> list[Backend]:
    """Describe every variant; where ``missing`` says why there is no DPDK, all of them are unavailable."""
    found = []
    for handler in _HANDLERS:
        for pages, pages_description in _PAGES.items():
            obstacle = missing or (_no_huge_pages(huge_pages) if pages is Pages.HUGETLB else None)
            found.append(
                Backend(
                    name="dpdk_ring",
                    variant=f"{handler.name}-{pages}",
                    description=f"rte_mempool, {handler.description}; {pages_description}",
                    version=version,
                    table=None if obstacle else table,
                    unavailable=obstacle,
                    # With --no-huge, DPDK leaves the node of a page to the kernel.
                    capabilities=replace(handler.capabilities, numa=True)
                    if pages is Pages.HUGETLB
                    else handler.capabilities,
                    pages=pages,
                    default=(handler.name, pages) == ("ring_mp_mc", Pages.HUGETLB),
                    options={"handler": handler.name, "pages": str(pages)},
                )
            )
    return found


@allocmark.hookimpl
def allocmark_backends() -> list[Backend]:
    return variants(*_load())
