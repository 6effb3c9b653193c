# SPDX-License-Identifier: BSD-3-Clause
"""Each kind of pool hands out the objects of its own memory."""

from __future__ import annotations

import pytest

from fixtures.backend_cells import conformance, measured


@pytest.mark.parametrize("variant", ["pool", "pool_ordered", "lockfree_stack", "lockfree_queue"])
def test_every_variant_is_measured(variant: str) -> None:
    found = measured(f"boost:{variant}")
    assert all("unknown" not in pool for pool in found.probes["populated"]["memory"]["pools"].values())


test_conformance = conformance("boost", "counting")
