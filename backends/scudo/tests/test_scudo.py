# SPDX-License-Identifier: BSD-3-Clause
"""Scudo is what is called, in each variant."""

from __future__ import annotations

import pytest

from fixtures.backend_cells import attested, conformance


@pytest.mark.parametrize("variant", ["default", "quarantine", "zero", "no_release"])
def test_scudo_is_called(variant: str) -> None:
    found = attested(f"scudo:{variant}")
    assert "scudo_standalone" in found["library"]["file"]
    assert found["library"]["calls"] == ["calloc", "free", "malloc", "memalign", "realloc"]


test_conformance = conformance("scudo")
