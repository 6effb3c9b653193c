# SPDX-License-Identifier: BSD-3-Clause
"""The entry point: ``scalable_malloc`` of oneTBB, and its memory pools."""

from __future__ import annotations

import allocmark
from allocmark.system.availability import as_root, built_again, thp_unavailable
from allocmark.system.elf import text_in


@allocmark.hookimpl
def allocmark_backends() -> list[allocmark.Backend]:
    path = allocmark.find_library("libtbbmalloc.so.2")
    library = allocmark.MallocLibrary(
        "tbb",
        path,
        allocmark.Unavailable("libtbbmalloc.so.2 is not installed", as_root("apt-get install libtbbmalloc2")),
        version=text_in(path, rb"TBBmalloc: VERSION\s+([\d.]+)") if path else "",
        prefix="scalable_",
        on_request=True,
    )
    native = allocmark.NativeModule(
        "allocmark_tbb._native",
        allocmark.Unavailable(
            "libtbb-dev was not there when allocmark-tbb was built",
            built_again("allocmark-tbb", "libtbb-dev"),
        ),
    )
    return [
        library.variant(
            "default", "scalable_malloc as it comes", environ={"TBB_MALLOC_USE_HUGE_PAGES": "0"}, default=True
        ),
        library.variant(
            "huge_pages",
            "scalable_malloc, huge pages asked for",
            environ={"TBB_MALLOC_USE_HUGE_PAGES": "1"},
            obstacle=thp_unavailable(),
        ),
        allocmark.Backend(
            name="tbb",
            variant="fixed_pool",
            description="rml::pool, a heap in a memory of its own",
            version=library.version,
            table=native.table("tbb_fixed_pool"),
            unavailable=native.unavailable,
            capabilities=allocmark.Capabilities(any_size=True),
            default=True,
            on_request=True,
            library="libtbbmalloc.so.2",
        ),
    ]
