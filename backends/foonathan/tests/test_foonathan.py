# SPDX-License-Identifier: BSD-3-Clause
"""Each kind of memory_pool is the library's."""

from __future__ import annotations

import pytest

from fixtures.backend_cells import conformance, measured


@pytest.mark.parametrize("variant", ["node", "array", "small_node"])
def test_every_variant_is_measured(variant: str) -> None:
    found = measured(f"foonathan:{variant}")
    assert "libfoonathan_memory" in found.attestation["library"]["file"]


test_conformance = conformance("foonathan", "counting")
