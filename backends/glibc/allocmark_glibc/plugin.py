# SPDX-License-Identifier: BSD-3-Clause
"""The entry point: one variant for each setting of malloc that matters."""

from __future__ import annotations

from typing import NamedTuple

import allocmark
from allocmark.system.availability import thp_unavailable
from allocmark_glibc._native import ffi, lib


class _Variant(NamedTuple):
    name: str
    description: str
    tunables: str
    since: tuple[int, int]  #: the first glibc that has them; an older one ignores them without a word
    thp: bool = False


_TCACHE_OFF = "glibc.malloc.tcache_count=0"
_TRIM_OFF = f"glibc.malloc.trim_threshold={1 << 40}"
_ONE_ARENA = "glibc.malloc.arena_max=1"
_THP = "glibc.malloc.hugetlb=1"

_VARIANTS = [
    _Variant("default", "malloc and free, no tunable set", "", (2, 0)),
    _Variant("no_tcache", "malloc and free without the per-thread cache", _TCACHE_OFF, (2, 26)),
    _Variant("no_trim", "malloc and free, freed memory stays with the process", _TRIM_OFF, (2, 26)),
    _Variant("one_arena", "malloc and free, one arena for all threads", _ONE_ARENA, (2, 26)),
    _Variant("thp", "malloc and free, huge pages advised in the main arena", _THP, (2, 35), thp=True),
    _Variant(
        "thp_one_arena",
        "malloc and free, huge pages advised, one arena for all threads",
        f"{_THP}:{_ONE_ARENA}",
        (2, 35),
        thp=True,
    ),
]


def _obstacle(variant: _Variant, table: int | None, version: str) -> allocmark.Unavailable | None:
    if table is None:
        return allocmark.Unavailable("the C library here is not glibc", "run on a distribution based on glibc")
    if tuple(map(int, version.split(".")[:2])) < variant.since:
        needed = ".".join(map(str, variant.since))
        return allocmark.Unavailable(
            f"glibc here is {version}; {variant.tunables} came with {needed}",
            f"run on a distribution with glibc {needed} or newer",
        )
    return thp_unavailable() if variant.thp else None


def variants(table: int | None, version: str) -> list[allocmark.Backend]:
    """Describe every variant; ``table`` is None and ``version`` "" where the C library is not glibc."""
    found = []
    for variant in _VARIANTS:
        obstacle = _obstacle(variant, table, version)
        found.append(
            allocmark.Backend(
                name="glibc",
                variant=variant.name,
                description=variant.description,
                version=version,
                table=None if obstacle else table,
                unavailable=obstacle,
                capabilities=allocmark.Capabilities(any_size=True),
                default=variant.name == "default",
                library="libc.so.6",
                # The C library reads it when a process starts. "default" sets it to nothing, so that the caller's
                # environment does not change what the variant is.
                environ={"GLIBC_TUNABLES": variant.tunables},
            )
        )
    return found


@allocmark.hookimpl
def allocmark_backends() -> list[allocmark.Backend]:
    table = int(ffi.cast("uintptr_t", lib.allocmark_glibc_table())) or None
    return variants(table, ffi.string(lib.allocmark_glibc_version()).decode())
