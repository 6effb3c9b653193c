# SPDX-License-Identifier: BSD-3-Clause
"""The entry point: free lists of Concurrency Kit."""

from __future__ import annotations

import allocmark
from allocmark.system.availability import built_again

_DEFAULT = ("stack_mpmc",)
_SHARED = allocmark.Capabilities()  #: any number of actors
_ALONE = allocmark.Capabilities(thread_safe=False, cross_thread_free=False, max_actors=1)


@allocmark.hookimpl
def allocmark_backends() -> list[allocmark.Backend]:
    native = allocmark.NativeModule(
        "allocmark_ck._native",
        allocmark.Unavailable(
            "libck-dev was not there when allocmark-ck was built",
            built_again("allocmark-ck", "libck-dev"),
        ),
    )

    def variant(name: str, description: str, capabilities: allocmark.Capabilities = _SHARED) -> allocmark.Backend:
        return allocmark.Backend(
            name="ck",
            variant=name,
            description=description,
            version=native.text("allocmark_ck_version"),
            table=native.table(f"ck_{name}"),
            unavailable=native.unavailable,
            capabilities=capabilities,
            default=name in _DEFAULT,
            on_request=True,
        )

    return [
        variant("stack_mpmc", "ck_stack, many producers and consumers, lock-free: last in, first out"),
        variant("ring_mpmc", "ck_ring, many producers and consumers, lock-free: first in, first out"),
        variant("stack_spinlock", "ck_stack behind a ck_spinlock, taken once for a bulk"),
        variant("stack_alone", "ck_stack without atomics: one actor alone", _ALONE),
    ]
