# SPDX-License-Identifier: BSD-3-Clause
"""The pool resources of libstdc++ are what is called."""

from __future__ import annotations

import pytest

import allocmark
from allocmark.conformance import KitCase, cases

CHECKED = ("alignments", "handover senders=3 receivers=2 cache=32", "counting")
CASE = {"bulk": 8, "keep": 128, "touch": 0, "off_ns": 0, "cores": 1, "cache": 256, "alive": 0}


@pytest.mark.parametrize("variant", ["synchronized", "unsynchronized"])
def test_every_variant_is_measured(variant: str) -> None:
    try:
        found = allocmark.measure_cell("burst", CASE, f"pmr:{variant}", blocks=1, counts=False)
    except allocmark.UnavailableError as missing:
        pytest.skip(str(missing))
    assert "libstdc++.so.6" in found.attestation["library"]["file"]


def test_one_that_is_for_one_actor_says_so() -> None:
    (found,) = (each for each in cases("pmr:unsynchronized") if each.name.startswith(CHECKED[1]))
    result = found.run()
    assert result.status == "unavailable"
    assert "not thread-safe" in result.reason


#: The whole kit is `make conform`.
@pytest.mark.parametrize("case", [each for each in cases("pmr") if each.name.startswith(CHECKED)], ids=str)
def test_conformance(case: KitCase) -> None:
    case.check()
