# SPDX-License-Identifier: BSD-3-Clause
"""The entry point: one variant for each setting that matters, all through MALLOC_CONF."""

from __future__ import annotations

import ctypes
from typing import Any

import allocmark
from allocmark.system.availability import as_root, thp_unavailable
from allocmark.system.elf import text_in

_SETTINGS: dict[str, type[Any]] = {
    "version": ctypes.c_char_p,
    "opt.narenas": ctypes.c_uint,
    "opt.tcache": ctypes.c_bool,
    "opt.background_thread": ctypes.c_bool,
    "opt.thp": ctypes.c_char_p,
    "opt.dirty_decay_ms": ctypes.c_ssize_t,
    "opt.muzzy_decay_ms": ctypes.c_ssize_t,
    "stats.mapped": ctypes.c_size_t,
}
_NAMES = {"stats.mapped": "arena_bytes"}


def _facts(library: ctypes.CDLL) -> dict[str, str]:
    found = {}
    epoch = ctypes.c_uint64(1)  # written: statistics are brought up to date
    library.mallctl(b"epoch", None, None, ctypes.byref(epoch), ctypes.c_size_t(8))
    for name, kind in _SETTINGS.items():
        value, size = kind(), ctypes.c_size_t(ctypes.sizeof(kind))
        if library.mallctl(name.encode(), ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0)) == 0:
            text = value.value.decode() if kind is ctypes.c_char_p else str(value.value)
            found[_NAMES.get(name, name.removeprefix("opt."))] = text
    return found


@allocmark.hookimpl
def allocmark_backends() -> list[allocmark.Backend]:
    path = allocmark.find_library("libjemalloc.so.2")
    library = allocmark.MallocLibrary(
        "jemalloc",
        path,
        allocmark.Unavailable("libjemalloc.so.2 is not installed", as_root("apt-get install libjemalloc2")),
        version=text_in(path, rb"(\d+\.\d+\.\d+)-\d+-g[0-9a-f]{40}") if path else "",
        on_request=True,
        facts=_facts,
    )

    def variant(name: str, description: str, settings: str, **more: Any) -> allocmark.Backend:
        # "default" sets it to nothing, so that the caller's environment does not change what the variant is.
        return library.variant(name, description, environ={"MALLOC_CONF": settings}, **more)

    return [
        variant("default", "jemalloc as it comes", "", default=True),
        variant("one_arena", "jemalloc, one arena for all threads", "narenas:1"),
        variant("no_tcache", "jemalloc without the per-thread cache", "tcache:false"),
        variant("background_thread", "jemalloc, a thread of its own gives memory back", "background_thread:true"),
        variant("no_decay", "jemalloc, freed memory stays with the process", "dirty_decay_ms:-1,muzzy_decay_ms:-1"),
        variant("decay_now", "jemalloc, freed pages are given back at once", "dirty_decay_ms:0,muzzy_decay_ms:0"),
        variant("thp", "jemalloc, huge pages advised", "thp:always", obstacle=thp_unavailable()),
    ]
