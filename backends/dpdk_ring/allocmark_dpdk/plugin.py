# SPDX-License-Identifier: BSD-3-Clause
"""The entry point: one variant for each mempool handler on each kind of pages."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import allocmark
from allocmark import Backend, Capabilities, Pages, Unavailable

HUGE_PAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
THP_MODE = Path("/sys/kernel/mm/transparent_hugepage/enabled")

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

#: not DPDK's own: a driver that is loaded beside those
_TURBOMEM = _Handler("turbomem", "TurboMem's driver: magazines over a lock-free depot")

_PAGES = {Pages.HUGETLB: "hugetlb pages of 2 MB", Pages.BASE: "base pages (--no-huge)"}
_TURBOMEM_PAGES = _PAGES | {Pages.THP: "transparent huge pages (--no-huge)"}
_TURBOMEM_FILE = "librte_mempool_turbomem.so"


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


def _turbomem_driver() -> Path | None:
    """TurboMem's driver: its distribution builds it where DPDK is. Found without loading anything of it."""
    package = importlib.util.find_spec("allocmark_turbomem")
    folders = package.submodule_search_locations if package else None
    return next((path for folder in folders or [] if (path := Path(folder, _TURBOMEM_FILE)).exists()), None)


def _no_thp(mode: Path) -> Unavailable | None:
    """Why the kernel gives no transparent huge pages on request."""
    try:
        off = "[never]" in mode.read_text()
    except OSError:
        return Unavailable(
            "the kernel has no transparent huge pages", "boot a kernel with CONFIG_TRANSPARENT_HUGEPAGE=y"
        )
    return Unavailable("transparent huge pages are off", f"echo madvise | sudo tee {mode}") if off else None


def variants(
    table: int | None,
    version: str,
    missing: Unavailable | None,
    huge_pages: Path = HUGE_PAGES,
    driver: Path | None = None,
    thp_mode: Path = THP_MODE,
) -> list[Backend]:
    """Describe every variant; where ``missing`` says why there is no DPDK, all of them are unavailable."""
    obstacles = {
        Pages.HUGETLB: missing or _no_huge_pages(huge_pages),
        Pages.BASE: missing,
        Pages.THP: missing or _no_thp(thp_mode),
    }
    undriven = None if driver else Unavailable(f"{_TURBOMEM_FILE}, its driver for DPDK, is not installed", _INSTALL)
    found = []
    for handler in [*_HANDLERS, _TURBOMEM]:
        ours = handler is _TURBOMEM
        for pages, pages_description in (_TURBOMEM_PAGES if ours else _PAGES).items():
            obstacle = obstacles[pages] or (undriven if ours else None)
            options = {"handler": handler.name, "pages": str(pages)}
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
                    options=options | ({"driver": str(driver)} if ours and driver else {}),
                )
            )
    return found


@allocmark.hookimpl
def allocmark_backends() -> list[Backend]:
    return variants(*_load(), driver=_turbomem_driver())
