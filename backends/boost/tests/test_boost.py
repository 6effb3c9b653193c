# SPDX-License-Identifier: BSD-3-Clause
"""Each kind of pool hands out the objects of its own memory."""

from __future__ import annotations

import pytest

import allocmark
from allocmark.conformance import KitCase, cases

CHECKED = ("alignments", "handover senders=3 receivers=2 cache=32", "counting")
CASE = {"bulk": 8, "keep": 128, "touch": 0, "off_ns": 0, "cores": 1, "cache": 256, "alive": 0}


@pytest.mark.parametrize("variant", ["pool", "pool_ordered", "lockfree_stack", "lockfree_queue"])
def test_every_variant_is_measured(variant: str) -> None:
    try:
        found = allocmark.measure_cell("burst", CASE, f"boost:{variant}", blocks=1, counts=False)
    except allocmark.UnavailableError as missing:
        pytest.skip(str(missing))
    assert all("unknown" not in pool for pool in found.probes["populated"]["memory"]["pools"].values())


#: The whole kit is `make conform`.
@pytest.mark.parametrize(
    "case",
    [each for each in cases("boost") if each.name.startswith(CHECKED)],
    ids=lambda case: f"{case.backend} {case}",
)
def test_conformance(case: KitCase) -> None:
    case.check()
