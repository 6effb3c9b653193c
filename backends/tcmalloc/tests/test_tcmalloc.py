# SPDX-License-Identifier: BSD-3-Clause
"""Each variant of tcmalloc is what it says, by what the library itself tells."""

from __future__ import annotations

import pytest
from allocmark_tcmalloc import plugin

from fixtures.backend_cells import attested, conformance


@pytest.mark.parametrize(
    ("variant", "setting", "value"),
    [
        ("default", "max_total_thread_cache_bytes", str(32 << 20)),
        ("big_cache", "max_total_thread_cache_bytes", str(1 << 30)),
        ("decommit", "aggressive_memory_decommit", "1"),
    ],
)
def test_a_variant_has_its_setting(variant: str, setting: str, value: str) -> None:
    found = attested(f"tcmalloc:{variant}")
    assert found["process"][setting] == value
    assert int(found["process"]["arena_bytes"]) >= found["live_bytes"] > 0
    assert found["library"]["calls"] == ["tc_calloc", "tc_free", "tc_malloc", "tc_memalign", "tc_realloc"]


def test_it_is_labelled_gperftools() -> None:
    found = plugin.allocmark_backends()
    assert {each.version.split()[0] for each in found if each.table} <= {"gperftools"}
    assert all("gperftools" in each.description for each in found)


test_conformance = conformance("tcmalloc")
