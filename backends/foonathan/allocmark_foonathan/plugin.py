# SPDX-License-Identifier: BSD-3-Clause
"""The entry point: the three kinds of memory_pool, each behind its adaptor for threads."""

from __future__ import annotations

import allocmark
from allocmark.system.availability import built_again

_DEFAULT = ("node",)
_SHARED = allocmark.Capabilities()  #: any number of actors


@allocmark.hookimpl
def allocmark_backends() -> list[allocmark.Backend]:
    native = allocmark.NativeModule(
        "allocmark_foonathan._native",
        allocmark.Unavailable(
            "libfoonathan-memory-dev was not there when allocmark-foonathan was built",
            built_again("allocmark-foonathan", "libfoonathan-memory-dev"),
        ),
    )

    version = native.text("allocmark_foonathan_version")

    def variant(name: str, description: str, capabilities: allocmark.Capabilities = _SHARED) -> allocmark.Backend:
        return allocmark.Backend(
            name="foonathan",
            variant=name,
            description=description,
            version=version,
            table=native.table(f"foonathan_{name}"),
            unavailable=native.unavailable,
            capabilities=capabilities,
            default=name in _DEFAULT,
            on_request=True,
            library=f"libfoonathan_memory.so.{version}" if version else "",
        )

    return [
        variant("node", "memory_pool<node_pool> in a thread_safe_allocator"),
        variant("array", "memory_pool<array_pool> in a thread_safe_allocator: its free list in order"),
        variant("small_node", "memory_pool<small_node_pool> in a thread_safe_allocator: no link in an object"),
    ]
