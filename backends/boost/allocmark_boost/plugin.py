# SPDX-License-Identifier: BSD-3-Clause
"""The entry point: Boost.Pool behind a mutex, and the lists of Boost.Lockfree."""

from __future__ import annotations

import allocmark
from allocmark.system.availability import built_again

_DEFAULT = ("pool", "lockfree_stack")
_SHARED = allocmark.Capabilities()  #: any number of actors


@allocmark.hookimpl
def allocmark_backends() -> list[allocmark.Backend]:
    native = allocmark.NativeModule(
        "allocmark_boost._native",
        allocmark.Unavailable(
            "libboost-dev was not there when allocmark-boost was built",
            built_again("allocmark-boost", "libboost-dev"),
        ),
    )

    def variant(name: str, description: str, capabilities: allocmark.Capabilities = _SHARED) -> allocmark.Backend:
        return allocmark.Backend(
            name="boost",
            variant=name,
            description=description,
            version=native.text("allocmark_boost_version").replace("_", "."),
            table=native.table(f"boost_{name}"),
            unavailable=native.unavailable,
            capabilities=capabilities,
            default=name in _DEFAULT,
            on_request=True,
        )

    return [
        variant("pool", "boost::pool behind a mutex"),
        variant("pool_ordered", "boost::pool behind a mutex, its free list in order: as boost::object_pool"),
        variant("lockfree_stack", "free list in a boost::lockfree::stack: last in, first out"),
        variant("lockfree_queue", "free list in a boost::lockfree::queue: first in, first out"),
    ]
