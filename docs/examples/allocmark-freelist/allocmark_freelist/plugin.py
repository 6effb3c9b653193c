# SPDX-License-Identifier: BSD-3-Clause
"""The entry point: what allocmark asks for, and nothing else."""

from importlib.metadata import version

import allocmark
from allocmark_freelist._native import ffi, lib


@allocmark.hookimpl
def allocmark_backends() -> list[allocmark.Backend]:
    return [
        allocmark.Backend(
            name="freelist",
            variant="default",
            description="one block of objects, a LIFO free list behind a mutex",
            version=version("allocmark-freelist"),
            table=int(ffi.cast("uintptr_t", lib.allocmark_freelist_table())),
            default=True,
        )
    ]
