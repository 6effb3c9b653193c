# SPDX-License-Identifier: BSD-3-Clause
"""Each variant of tcmalloc is what it says, by what the library itself tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from allocmark_tcmalloc import plugin

import allocmark
from allocmark.conformance import KitCase, cases

CHECKED = ("alignments", "handover senders=3 receivers=2 cache=32")
CASE = {"bulk": 8, "keep": 128, "touch": 0, "off_ns": 0, "cores": 1, "cache": 256, "alive": 0}


def attested(variant: str) -> Mapping[str, Any]:
    """What was true in the process of a cell."""
    try:
        found = allocmark.measure_cell("burst", CASE, f"tcmalloc:{variant}", blocks=1, counts=False)
    except allocmark.UnavailableError as missing:
        pytest.skip(str(missing))
    return found.attestation


@pytest.mark.parametrize(
    ("variant", "setting", "value"),
    [
        ("default", "max_total_thread_cache_bytes", str(32 << 20)),
        ("big_cache", "max_total_thread_cache_bytes", str(1 << 30)),
        ("decommit", "aggressive_memory_decommit", "1"),
    ],
)
def test_a_variant_has_its_setting(variant: str, setting: str, value: str) -> None:
    found = attested(variant)
    assert found["process"][setting] == value
    assert int(found["process"]["arena_bytes"]) >= found["live_bytes"] > 0
    assert found["library"]["calls"] == ["tc_calloc", "tc_free", "tc_malloc", "tc_memalign", "tc_realloc"]


def test_it_is_labelled_gperftools() -> None:
    found = plugin.allocmark_backends()
    assert {each.version.split()[0] for each in found if each.table} <= {"gperftools"}
    assert all("gperftools" in each.description for each in found)


#: The whole kit is `make conform`.
@pytest.mark.parametrize("case", [each for each in cases("tcmalloc") if each.name.startswith(CHECKED)], ids=str)
def test_conformance(case: KitCase) -> None:
    case.check()
