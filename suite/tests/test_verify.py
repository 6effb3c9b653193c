# SPDX-License-Identifier: BSD-3-Clause
"""The verifying mode must catch every way an allocator can be wrong, and say where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import setting

SMALL = setting(**{"pools.mbuf.objects": 2000, "pools.mbuf.object_size": 256, "pools.mbuf.alignment": 64})
BURST = ["burst", "--short", *setting(bulk=8, keep=128), *SMALL]
CROSS = ["cross_core_free", *setting(burst=8, touch=64, hold="0,64", rx=1, tx=1), *SMALL]
CROWD = ["cross_core_free", *setting(burst=8, touch=64, hold="0,64", rx=2, tx="1,2"), *SMALL, "--no-pin"]


def verify(allocmark_command, mutants: Path, variant: str, workload: list[str]) -> list[dict]:
    result = allocmark_command(
        "run", *workload, "--verify", "-b", f"mutant:{variant}", "--timeout", "4", "--json", "-", plugins=[mutants]
    )
    cells = json.loads(result.stdout)["cells"]
    assert result.returncode == (0 if all(cell["status"] == "ok" for cell in cells) else 1), result.stderr
    return cells


@pytest.mark.parametrize("workload", [BURST, CROSS, CROWD], ids=["burst", "cross_core_free", "more actors than cores"])
def test_a_correct_pool_passes(allocmark_command, mutants, workload):
    for cell in verify(allocmark_command, mutants, "none", workload):
        assert cell["status"] == "ok", cell["reason"]
        assert cell["attestation"]["process"] == {"mutation": "none"}


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("twice", "was handed out while worker[0] (worker step 1.1 (get)"),
        ("overlap", "overlaps object 0x"),
        ("misaligned", "is not aligned to 64 bytes"),
        ("null", "handed out a null pointer"),
        ("overwrite", "was overwritten at byte 17 while worker[0]"),
        ("outside", "lies outside the regions"),
        ("overrun", "get_bulk wrote to objects[-1], outside the objects that it was to fill in"),
        ("writes_beyond", "get_bulk wrote to objects[8], outside the objects that it was to fill in"),
        ("short_fill", "get_bulk did not fill in objects[7]"),
        ("changes_array", "put_bulk changed objects[0] of the array it was given, which is const"),
        ("lose", "of its 2,000 objects"),
        ("exhausted", "had no 8 objects for 2 s"),
    ],
)
def test_a_broken_pool_is_caught(allocmark_command, mutants, variant, words):
    (cell,) = verify(allocmark_command, mutants, variant, BURST)
    assert cell["status"] == "failed"
    assert words in cell["reason"]
    assert cell["reason"].startswith("burst: ")
    assert "worker" in cell["reason"] or "pool 'mbuf' lost" in cell["reason"]


def test_a_fact_that_is_null_is_said(allocmark_command, mutants):
    (cell,) = verify(allocmark_command, mutants, "null_fact", BURST)
    assert cell["status"] == "failed"
    assert cell["reason"] == "the backend's function facts told of NULL as a key or a value; expected two texts"


def test_a_million_regions_are_not_all_looked_at(allocmark_command, mutants):
    (cell,) = verify(allocmark_command, mutants, "many_regions", BURST)
    assert cell["status"] == "ok", cell["reason"]
    note = cell["attestation"]["notes"]["mbuf"]
    assert "reports 1,000,000 regions of memory; the first 10,000 are looked at" in note
    assert "over_size" not in cell["probes"]["after"]["memory"]["pools"]["mbuf"]


@pytest.mark.parametrize("variant", ["twice", "overwrite", "lose"])
def test_a_broken_pool_is_caught_across_cores(allocmark_command, mutants, variant):
    for cell in verify(allocmark_command, mutants, variant, CROSS):
        assert cell["status"] == "failed"


def test_the_floor_is_not_verified(allocmark_command, mutants):
    assert {cell["backend"] for cell in verify(allocmark_command, mutants, "none", BURST)} == {"mutant"}
