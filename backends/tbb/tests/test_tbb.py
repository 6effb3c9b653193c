# SPDX-License-Identifier: BSD-3-Clause
"""scalable_malloc, or the functions of a memory pool, are what is called."""

from __future__ import annotations

import pytest

from fixtures.backend_cells import attested, conformance


@pytest.mark.parametrize("variant", ["default", "huge_pages"])
def test_scalable_malloc_is_called(variant: str) -> None:
    found = attested(f"tbb:{variant}")
    assert "libtbbmalloc.so.2" in found["library"]["file"]
    called = ("calloc", "free", "malloc", "posix_memalign", "realloc")
    assert found["library"]["calls"] == [f"scalable_{name}" for name in called]


def test_a_pool_is_called() -> None:
    calls = attested("tbb:fixed_pool")["library"]["calls"]
    assert any("pool_malloc" in call for call in calls)
    assert any("pool_free" in call for call in calls)
    assert any("pool_reset" in call for call in calls)


test_conformance = conformance("tbb", "at_once", "sizes")
