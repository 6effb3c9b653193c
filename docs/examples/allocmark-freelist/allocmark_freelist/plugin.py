# SPDX-License-Identifier: BSD-3-Clause
"""The entry point: what allocmark asks for, and nothing else."""

from importlib.metadata import version

import allocmark
from allocmark.system.availability import thp_unavailable
from allocmark_freelist._native import ffi, lib


def backend(variant: str, pages: allocmark.Pages, missing: allocmark.Unavailable | None) -> allocmark.Backend:
    return allocmark.Backend(
        name="freelist",
        variant=variant,
        description=f"a LIFO free list behind a mutex, pages: {pages}",
        version=version("allocmark-freelist"),
        table=None if missing else int(ffi.cast("uintptr_t", lib.allocmark_freelist_table())),
        unavailable=missing,
        pages=pages,
        default=variant == "default",
        options={"pages": str(pages)},
    )


@allocmark.hookimpl
def allocmark_backends() -> list[allocmark.Backend]:
    return [
        backend("default", allocmark.Pages.ANY, None),
        backend("thp", allocmark.Pages.THP, thp_unavailable()),
    ]
