# SPDX-License-Identifier: BSD-3-Clause
"""Each free list hands out the objects of its own memory."""

from __future__ import annotations

import pytest

from fixtures.backend_cells import conformance, is_for_one_actor, measured


@pytest.mark.parametrize("variant", ["stack_mpmc", "ring_mpmc", "stack_spinlock", "stack_alone"])
def test_every_variant_is_measured(variant: str) -> None:
    found = measured(f"ck:{variant}")
    assert all("unknown" not in pool for pool in found.probes["populated"]["memory"]["pools"].values())


def test_one_that_is_for_one_actor_says_so() -> None:
    is_for_one_actor("ck:stack_alone")


test_conformance = conformance("ck", "counting")
