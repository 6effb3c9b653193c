# SPDX-License-Identifier: BSD-3-Clause
"""scalable_malloc, or the functions of a memory pool, are what is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import allocmark
from allocmark.conformance import KitCase, cases

CHECKED = ("alignments", "handover senders=3 receivers=2 cache=32")
CASE = {"bulk": 8, "keep": 128, "touch": 0, "off_ns": 0, "cores": 1, "cache": 256, "alive": 0}


def attested(variant: str) -> Mapping[str, Any]:
    """What was true in the process of a cell."""
    try:
        found = allocmark.measure_cell("burst", CASE, f"tbb:{variant}", blocks=1, counts=False)
    except allocmark.UnavailableError as missing:
        pytest.skip(str(missing))
    return found.attestation


@pytest.mark.parametrize("variant", ["default", "huge_pages"])
def test_scalable_malloc_is_called(variant: str) -> None:
    found = attested(variant)
    assert "libtbbmalloc.so.2" in found["library"]["file"]
    called = ("calloc", "free", "malloc", "posix_memalign", "realloc")
    assert found["library"]["calls"] == [f"scalable_{name}" for name in called]


def test_a_pool_is_called() -> None:
    calls = attested("fixed_pool")["library"]["calls"]
    assert any("pool_malloc" in call for call in calls)
    assert any("pool_free" in call for call in calls)


#: The whole kit is `make conform`.
@pytest.mark.parametrize(
    "case", [each for each in cases("tbb") if each.name.startswith(CHECKED)], ids=lambda case: f"{case.backend} {case}"
)
def test_conformance(case: KitCase) -> None:
    case.check()
