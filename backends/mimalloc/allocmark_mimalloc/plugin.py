# SPDX-License-Identifier: BSD-3-Clause
"""The entry point: versions 2 and 3 side by side. Each is loaded privately, and its ``mi_`` functions are called."""

from __future__ import annotations

import ctypes
import os
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import allocmark
from allocmark.malloc_library import ask
from allocmark.system.availability import as_root, thp_unavailable


def _from_wheel() -> Path | None:
    """Version 3 as it comes from PyPI."""
    try:
        found = distribution("cmeel-mimalloc")
    except PackageNotFoundError:
        return None
    files = (Path(str(found.locate_file(each))) for each in found.files or () if "libmimalloc.so.3" in each.name)
    return min(files, default=None)


def _version(library: ctypes.CDLL) -> str:
    number = library.mi_version()  # 209 is 2.0.9, 30403 is 3.4.3
    parts = (number // 10000, number // 100 % 100, number % 100) if number >= 10000 else map(int, str(number))
    return ".".join(map(str, parts))


def _facts(library: ctypes.CDLL) -> dict[str, str]:
    """An option that is set to nothing is on: those of the caller cannot be taken back, but they are told."""
    options = {name: value for name, value in os.environ.items() if name.startswith("MIMALLOC_")}
    return {"version": _version(library), **options}


def _library(path: Path | None, soname: str, fix: str) -> allocmark.MallocLibrary:
    return allocmark.MallocLibrary(
        "mimalloc",
        path,
        allocmark.Unavailable(f"{soname} is not installed", fix),
        version=ask(path, _version) if path else "",
        prefix="mi_",
        on_request=True,
        facts=_facts,
    )


@allocmark.hookimpl
def allocmark_backends() -> list[allocmark.Backend]:
    three = _library(
        allocmark.find_library("libmimalloc.so.3") or _from_wheel(),
        "libmimalloc.so.3",
        "pip install cmeel-mimalloc",
    )
    two = _library(
        allocmark.find_library("libmimalloc.so.2"), "libmimalloc.so.2", as_root("apt-get install libmimalloc2.0")
    )
    thp = thp_unavailable()
    keep_3, large_3 = {"MIMALLOC_PURGE_DELAY": "-1"}, {"MIMALLOC_ALLOW_LARGE_OS_PAGES": "1"}
    keep_2, large_2 = {"MIMALLOC_ALLOW_DECOMMIT": "0"}, {"MIMALLOC_LARGE_OS_PAGES": "1"}
    return [
        three.variant("v3", "mimalloc 3 as it comes", default=True),
        three.variant("v3_no_purge", "mimalloc 3, freed memory stays with the process", environ=keep_3),
        three.variant("v3_thp", "mimalloc 3, huge pages asked for", environ=large_3, obstacle=thp),
        two.variant("v2", "mimalloc 2 as it comes", default=True),
        two.variant("v2_no_purge", "mimalloc 2, freed memory stays with the process", environ=keep_2),
        two.variant("v2_thp", "mimalloc 2, huge pages asked for", environ=large_2, obstacle=thp),
    ]
