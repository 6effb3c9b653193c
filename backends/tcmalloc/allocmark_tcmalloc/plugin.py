# SPDX-License-Identifier: BSD-3-Clause
"""The entry point: tcmalloc as gperftools has it. Google's newer tcmalloc is another allocator."""

from __future__ import annotations

import ctypes

import allocmark
from allocmark.system.availability import as_root
from allocmark.system.elf import text_in

_ASKED = {
    "tcmalloc.max_total_thread_cache_bytes": "max_total_thread_cache_bytes",
    "tcmalloc.aggressive_memory_decommit": "aggressive_memory_decommit",
    "generic.heap_size": "arena_bytes",
}


def _set(**options: object) -> dict[str, str]:
    """The variables that set ``options``, and for the others what tcmalloc takes by itself."""
    usual = {"MAX_TOTAL_THREAD_CACHE_BYTES": 32 << 20, "RELEASE_RATE": 1, "AGGRESSIVE_DECOMMIT": "f"}
    return {f"TCMALLOC_{name}": str(value) for name, value in (usual | options).items()}


def _facts(library: ctypes.CDLL) -> dict[str, str]:
    found = {}
    for name, fact in _ASKED.items():
        value = ctypes.c_size_t()
        if library.MallocExtension_GetNumericProperty(name.encode(), ctypes.byref(value)):
            found[fact] = str(value.value)
    return found


@allocmark.hookimpl
def allocmark_backends() -> list[allocmark.Backend]:
    path = allocmark.find_library("libtcmalloc_minimal.so.4")
    library = allocmark.MallocLibrary(
        "tcmalloc",
        path,
        allocmark.Unavailable(
            "libtcmalloc_minimal.so.4 is not installed", as_root("apt-get install libtcmalloc-minimal4")
        ),
        version=text_in(path, rb"(gperftools \d+[.\d]*)") if path else "",
        prefix="tc_",
        on_request=True,
        facts=_facts,
    )
    return [
        library.variant("default", "gperftools' tcmalloc as it comes", environ=_set(), default=True),
        library.variant(
            "big_cache",
            "gperftools' tcmalloc, 1 GiB of thread caches",
            environ=_set(MAX_TOTAL_THREAD_CACHE_BYTES=1 << 30),
        ),
        library.variant(
            "decommit",
            "gperftools' tcmalloc, freed pages are given back at once",
            environ=_set(AGGRESSIVE_DECOMMIT="t"),
        ),
    ]
