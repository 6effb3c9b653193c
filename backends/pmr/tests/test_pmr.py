# SPDX-License-Identifier: BSD-3-Clause
"""The pool resources of libstdc++ are what is called."""

from __future__ import annotations

import pytest

from fixtures.backend_cells import conformance, is_for_one_actor, measured


@pytest.mark.parametrize("variant", ["synchronized", "unsynchronized"])
def test_every_variant_is_measured(variant: str) -> None:
    found = measured(f"pmr:{variant}")
    assert "libstdc++.so.6" in found.attestation["library"]["file"]


def test_one_that_is_for_one_actor_says_so() -> None:
    is_for_one_actor("pmr:unsynchronized")


test_conformance = conformance("pmr", "counting")
