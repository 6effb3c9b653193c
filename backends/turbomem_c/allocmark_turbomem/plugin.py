# SPDX-License-Identifier: BSD-3-Clause
"""The variants of TurboMem, one a page kind."""

from __future__ import annotations

from pathlib import Path

import allocmark
from allocmark_turbomem._native import ffi, lib

_THP_MODE = Path("/sys/kernel/mm/transparent_hugepage/enabled")


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


@allocmark.hookimpl
def allocmark_backends() -> list[allocmark.Backend]:
    version = ffi.string(lib.turbomem_version()).decode()
    table = int(ffi.cast("uintptr_t", lib.allocmark_turbomem_table()))

    def variant(
        pages: allocmark.Pages, description: str, unavailable: allocmark.Unavailable | None, default: bool
    ) -> allocmark.Backend:
        return allocmark.Backend(
            name="turbomem",
            variant=pages.value,
            description=description,
            version=version,
            table=None if unavailable else table,
            unavailable=unavailable,
            capabilities=allocmark.Capabilities(thread_safe=True, cross_thread_free=True),
            pages=pages,
            default=default,
            options={"pages": pages.value},
        )

    return [
        variant(
            allocmark.Pages.THP,
            "magazines over a lock-free depot, transparent huge pages",
            thp_unavailable(),
            default=True,
        ),
        variant(
            allocmark.Pages.BASE,
            "magazines over a lock-free depot, base pages",
            None,
            default=False,
        ),
    ]
