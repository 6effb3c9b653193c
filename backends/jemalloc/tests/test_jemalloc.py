# SPDX-License-Identifier: BSD-3-Clause
"""Each variant of jemalloc is what it says, by what the library itself tells."""

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
        found = allocmark.measure_cell("burst", CASE, f"jemalloc:{variant}", blocks=1, counts=False)
    except allocmark.UnavailableError as missing:
        pytest.skip(str(missing))
    return found.attestation


@pytest.mark.parametrize(
    ("variant", "setting", "value"),
    [
        ("one_arena", "narenas", "1"),
        ("no_tcache", "tcache", "False"),
        ("background_thread", "background_thread", "True"),
        ("no_decay", "dirty_decay_ms", "-1"),
        ("decay_now", "muzzy_decay_ms", "0"),
        ("thp", "thp", "always"),
    ],
)
def test_a_variant_has_its_setting(variant: str, setting: str, value: str) -> None:
    assert attested(variant)["process"][setting] == value


def test_the_default_is_jemalloc_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_CONF", "narenas:1,tcache:false")
    found = attested("default")
    assert (found["process"]["tcache"], found["process"]["thp"]) == ("True", "default")
    assert int(found["process"]["narenas"]) > 1
    assert int(found["process"]["arena_bytes"]) >= found["live_bytes"] > 0
    assert found["library"]["file"].endswith("libjemalloc.so.2")
    assert found["library"]["calls"] == ["calloc", "free", "malloc", "memalign", "realloc"]


#: The whole kit is `make conform`.
@pytest.mark.parametrize("case", [each for each in cases("jemalloc") if each.name.startswith(CHECKED)], ids=str)
def test_conformance(case: KitCase) -> None:
    case.check()
