# SPDX-License-Identifier: BSD-3-Clause
"""The pool resources of libstdc++ are what is called."""

from __future__ import annotations

import pytest

from fixtures.backend_cells import conformance, is_for_one_actor, measured


@pytest.mark.parametrize("variant", ["synchronized", "unsynchronized"])
def test_every_variant_is_measured(variant: str) -> None:
    found = measured(f"pmr:{variant}")
    assert "libstdc++.so.6" in found.attestation["library"]["file"]


@pytest.mark.parametrize("variant", ["synchronized", "unsynchronized"])
def test_a_resource_is_released_where_all_is_dropped(variant: str) -> None:
    found = measured(f"pmr:{variant}", "request_arena", {"blocks": 16}).attestation
    assert any("release" in call for call in found["library"]["calls"])
    assert found["process"]["put_all"] == "one call"


def test_one_that_is_for_one_actor_says_so() -> None:
    is_for_one_actor("pmr:unsynchronized")


test_conformance = conformance("pmr", "counting", "at_once")
