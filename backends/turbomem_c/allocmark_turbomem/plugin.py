# SPDX-License-Identifier: BSD-3-Clause
"""The variants of TurboMem: one a page kind, and one for each other way to use it that is worth comparing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import allocmark
from allocmark import Pages
from allocmark_turbomem._native import ffi, lib

_THP_MODE = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_HUGE_PAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")


def thp_unavailable(mode_file: Path = _THP_MODE) -> allocmark.Unavailable | None:
    """Why this kernel gives no transparent huge pages on request, or None when it does."""
    try:
        modes = mode_file.read_text()
    except OSError:
        return allocmark.Unavailable(
            f"this kernel has no transparent huge pages ({mode_file} cannot be read)",
            "boot a kernel built with CONFIG_TRANSPARENT_HUGEPAGE=y",
        )
    if "[never]" in modes:
        return allocmark.Unavailable(
            f"transparent huge pages are off ({mode_file} says never)",
            f"echo madvise | sudo tee {mode_file}",
        )
    return None


def hugetlb_unavailable(folder: Path = _HUGE_PAGES) -> allocmark.Unavailable | None:
    """Why not one huge page of 2 MB can be had, or None. Where none is free the kernel is asked to make some while
    a pool is created, if this user may ask."""
    limit = folder / "nr_overcommit_hugepages"
    try:
        total, free, promised, surplus, overcommit = (
            int((folder / f"{name}_hugepages").read_text())
            for name in ("nr", "free", "resv", "surplus", "nr_overcommit")
        )
    except OSError:
        return allocmark.Unavailable(
            "the kernel has no huge pages of 2 MB", "boot a kernel built with CONFIG_HUGETLBFS=y"
        )
    if free > promised or overcommit > surplus or os.access(limit, os.W_OK):
        return None
    return allocmark.Unavailable(
        "no huge page of 2 MB is free, and this user may not reserve any",
        f"echo {total + 256} | sudo tee /proc/sys/vm/nr_hugepages",
    )


class _Variant(NamedTuple):
    name: str
    description: str
    pages: Pages
    table: str = "plain"  #: which of the native tables
    option: str = "thp"  #: its page kind
    obstacle: Callable[[], allocmark.Unavailable | None] = lambda: None


_VARIANTS = [
    _Variant("thp", "transparent huge pages", Pages.THP, obstacle=thp_unavailable),
    _Variant("base", "base pages", Pages.BASE, option="base"),
    _Variant("hugetlb_2m", "hugetlb pages of 2 MB", Pages.HUGETLB, option="hugetlb_2m", obstacle=hugetlb_unavailable),
    _Variant("per_thread", "caches found by the thread, transparent huge pages", Pages.THP, "per_thread",
             obstacle=thp_unavailable),
    _Variant("per_cpu", "caches of CPUs by restartable sequences, transparent huge pages", Pages.THP, "per_cpu",
             obstacle=thp_unavailable),
    _Variant("checked", "every check on, base pages", Pages.BASE, "checked", option="base"),
]  # fmt: skip


@allocmark.hookimpl
def allocmark_backends() -> list[allocmark.Backend]:
    version = ffi.string(lib.turbomem_version()).decode()

    def describe(variant: _Variant) -> allocmark.Backend:
        unavailable = variant.obstacle()
        table = int(ffi.cast("uintptr_t", lib.allocmark_turbomem_table(variant.table.encode())))
        return allocmark.Backend(
            name="turbomem",
            variant=variant.name,
            description=f"magazines over a lock-free depot, {variant.description}",
            version=version,
            table=None if unavailable else table,
            unavailable=unavailable,
            capabilities=allocmark.Capabilities(thread_safe=True, cross_thread_free=True, numa=True),
            pages=variant.pages,
            default=variant.name == "thp",
            options={"pages": variant.option},
        )

    return [describe(variant) for variant in _VARIANTS]
