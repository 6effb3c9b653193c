# SPDX-License-Identifier: BSD-3-Clause
"""Each variant of jemalloc is what it says, by what the library itself tells."""

from __future__ import annotations

import pytest

from fixtures.backend_cells import attested, conformance


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
    assert attested(f"jemalloc:{variant}")["process"][setting] == value


def test_the_default_is_jemalloc_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_CONF", "narenas:1,tcache:false")
    found = attested("jemalloc:default")
    assert (found["process"]["tcache"], found["process"]["thp"]) == ("True", "default")
    assert int(found["process"]["narenas"]) > 1
    assert int(found["process"]["arena_bytes"]) >= found["live_bytes"] > 0
    assert found["library"]["file"].endswith("libjemalloc.so.2")
    assert found["library"]["calls"] == ["calloc", "free", "malloc", "memalign", "realloc"]


test_conformance = conformance("jemalloc")
