# SPDX-License-Identifier: BSD-3-Clause
"""The variants of TurboMem: one per page kind, and one for each other way to use it that is worth comparing."""

from __future__ import annotations

from typing import NamedTuple

import allocmark
from allocmark import Pages
from allocmark.system.availability import hugetlb_unavailable, thp_unavailable
from allocmark_turbomem._native import ffi, lib


class _Variant(NamedTuple):
    name: str
    description: str
    pages: Pages
    table: str = "plain"  #: which of the native tables
    option: str = "thp"  #: its page kind


_VARIANTS = [
    _Variant("thp", "transparent huge pages", Pages.THP),
    _Variant("base", "base pages", Pages.BASE, option="base"),
    _Variant("hugetlb_2m", "hugetlb pages of 2 MB", Pages.HUGETLB, option="hugetlb_2m"),
    _Variant("per_thread", "caches found by the thread, transparent huge pages", Pages.THP, "per_thread"),
    _Variant("per_cpu", "caches of CPUs by restartable sequences, transparent huge pages", Pages.THP, "per_cpu"),
    _Variant("checked", "every check on, base pages", Pages.BASE, "checked", option="base"),
]


@allocmark.hookimpl
def allocmark_backends() -> list[allocmark.Backend]:
    version = ffi.string(lib.turbomem_version()).decode()
    missing = {Pages.THP: thp_unavailable(), Pages.HUGETLB: hugetlb_unavailable()}

    def describe(variant: _Variant) -> allocmark.Backend:
        unavailable = missing.get(variant.pages)
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
