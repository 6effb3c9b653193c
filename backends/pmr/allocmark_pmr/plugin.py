# SPDX-License-Identifier: BSD-3-Clause
"""The entry point: the two pool resources of libstdc++."""

from __future__ import annotations

import allocmark

_LIBRARY = "libstdc++.so.6"


@allocmark.hookimpl
def allocmark_backends() -> list[allocmark.Backend]:
    native = allocmark.NativeModule(
        "allocmark_pmr._native", allocmark.Unavailable("allocmark-pmr is not built", "install it again")
    )
    file = allocmark.find_library(_LIBRARY)

    def variant(name: str, description: str, capabilities: allocmark.Capabilities) -> allocmark.Backend:
        return allocmark.Backend(
            name="pmr",
            variant=name,
            description=description,
            version=file.resolve().name.removeprefix("libstdc++.so.") if file else "",
            table=native.table(f"pmr_{name}"),
            unavailable=native.unavailable,
            capabilities=capabilities,
            default=name == "synchronized",
            on_request=True,
            library=_LIBRARY,
        )

    alone = allocmark.Capabilities(any_size=True, thread_safe=False, cross_thread_free=False, max_actors=1)
    return [
        variant(
            "synchronized",
            "std::pmr::synchronized_pool_resource, pools for each thread",
            allocmark.Capabilities(any_size=True),
        ),
        variant("unsynchronized", "std::pmr::unsynchronized_pool_resource: one actor alone", alone),
    ]
