# SPDX-License-Identifier: BSD-3-Clause
"""Scudo is what is called, in each variant."""

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
        found = allocmark.measure_cell("burst", CASE, f"scudo:{variant}", blocks=1, counts=False)
    except allocmark.UnavailableError as missing:
        pytest.skip(str(missing))
    return found.attestation


@pytest.mark.parametrize("variant", ["default", "quarantine", "zero", "no_release"])
def test_scudo_is_called(variant: str) -> None:
    found = attested(variant)
    assert "scudo_standalone" in found["library"]["file"]
    assert found["library"]["calls"] == ["calloc", "free", "malloc", "memalign", "realloc"]


#: The whole kit is `make conform`.
@pytest.mark.parametrize("case", [each for each in cases("scudo") if each.name.startswith(CHECKED)], ids=str)
def test_conformance(case: KitCase) -> None:
    case.check()
