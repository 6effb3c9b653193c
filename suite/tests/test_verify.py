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


CAUGHT = {
    "twice": "was handed out while worker[0] (worker step 1.1 (get)",
    "overlap": "overlaps object 0x",
    "misaligned": "is not aligned to 64 bytes",
    "null": "handed out a null pointer",
    "overwrite": "was overwritten at byte 17 while worker[0]",
    "outside": "lies outside the regions",
    "overrun": "get_bulk wrote to objects[-1], outside the objects that it was to fill in",
    "writes_beyond": "get_bulk wrote to objects[8], outside the objects that it was to fill in",
    "short_fill": "get_bulk did not fill in objects[7]",
    "changes_array": "put_bulk changed objects[0] of the array it was given, which is const",
    "lose": "of its 2,000 objects",
    "exhausted": "had no 8 objects for 5 s",
}


def verify(allocmark_command, mutants: Path, workload: list[str], *variants: str) -> dict[str, list[dict]]:
    """By variant, its cells."""
    named = [word for variant in variants for word in ("-b", f"mutant:{variant}")]
    result = allocmark_command("run", *workload, "--verify", *named, "--json", "-", plugins=[mutants])
    cells = json.loads(result.stdout)["cells"]
    assert result.returncode == (0 if all(cell["status"] == "ok" for cell in cells) else 1), result.stderr
    assert {cell["backend"] for cell in cells} == {"mutant"}  # the floor is not verified
    return {variant: [cell for cell in cells if cell["variant"] == variant] for variant in variants}


@pytest.mark.parametrize("workload", [BURST, CROSS, CROWD], ids=["burst", "cross_core_free", "more actors than cores"])
def test_a_correct_pool_passes(allocmark_command, mutants, workload):
    for cell in verify(allocmark_command, mutants, workload, "none")["none"]:
        assert cell["status"] == "ok", cell["reason"]
        assert cell["attestation"]["process"] == {"mutation": "none"}


EVERYTHING = """\
format: 1
name: everything
summary: Threads that end, sizes of their own, zeros, resizing, a region, and objects of several sizes in a queue.
source: made for this test
pools:
  a: {object_size: 64, objects: 4000}
  b: {object_size: 1000, objects: 4000, alignment: 64}
  c: {object_size: 4096, objects: 4000}
  d: {object_size: 48, objects: 4000}
  e: {object_size: 2000, objects: 4000}
  region: {object_size: 512, objects: 4000}
queues: {q: {capacity: 1024}}
actors:
  ends:
    threads_end: true
    steps:
      - get: {from: [a, b, c], n: 4, size: {uniform: [1, 4096]}, exact: true, zeroed: true}
      - touch: {bytes: all, how: write}
      - repeat:
          times: 4
          steps:
            - get: {from: d, n: 5}
            - resize: {from: d, to: b, n: 3}
            - resize: {from: d, to: e, n: 2, which: oldest}
            - touch: {bytes: all, how: read}
            - get: {from: a, n: 2, zeroed: true}
            - hold: {objects: 3, from: c, release: random}
            - hold: {objects: 100, release: random}
  drops:
    - get: {from: region, n: 9, size: {uniform: [1, 512]}, exact: true}
    - touch: {bytes: all, how: write}
    - get: {from: d, n: 5}
    - put_all: region
    - get: {from: region, n: 2}
    - hold: {objects: 3, release: oldest}
  rx:
    - get: {from: [a, b, c], n: 7, size: {uniform: [1, 4096]}, zeroed: true}
    - touch: {bytes: all, how: write}
    - send: {to: q}
  tx:
    - receive: {from: q}
    - touch: {bytes: 1, how: read}
    - hold: {objects: 100, release: random}
    - put: {which: newest, n: 1}
"""


def test_all_that_the_language_can_say_runs_on_pools_and_mallocs(allocmark_command, tmp_path):
    file = tmp_path / "everything.yaml"
    file.write_text(EVERYTHING)
    named = ["-b", "glibc", "-b", "turbomem:base", "--no-pin"]
    for how in (["--verify"], ["--rounds", "1", "--blocks", "2", "--sample-ms", "1", "--no-latency"]):
        result = allocmark_command("run", str(file), *named, *how, "--json", "-")
        cells = json.loads(result.stdout)["cells"]
        assert [cell["status"] for cell in cells] == ["ok"] * len(cells), result.stdout
        assert len(cells) >= 2


def test_broken_pools_are_caught(allocmark_command, mutants):
    for variant, (cell,) in verify(allocmark_command, mutants, BURST, *CAUGHT).items():
        assert cell["status"] == "failed", variant
        assert CAUGHT[variant] in cell["reason"]
        assert cell["reason"].startswith("burst: ")
        assert "worker" in cell["reason"] or "pool 'mbuf' lost" in cell["reason"]


def test_a_fact_that_is_null_is_said(allocmark_command, mutants):
    (cell,) = verify(allocmark_command, mutants, BURST, "null_fact")["null_fact"]
    assert cell["status"] == "failed"
    assert cell["reason"] == "the backend's function facts told of NULL as a key or a value; expected two texts"


def test_a_million_regions_are_not_all_looked_at(allocmark_command, mutants):
    (cell,) = verify(allocmark_command, mutants, BURST, "many_regions")["many_regions"]
    assert cell["status"] == "ok", cell["reason"]
    note = cell["attestation"]["notes"]["mbuf"]
    assert "reports 1,000,000 regions of memory; the first 10,000 are looked at" in note
    assert "over_size" not in cell["probes"]["after"]["memory"]["pools"]["mbuf"]


def test_broken_pools_are_caught_across_cores(allocmark_command, mutants):
    for variant, cells in verify(allocmark_command, mutants, CROSS, "twice", "overwrite", "lose").items():
        assert cells
        assert {cell["status"] for cell in cells} == {"failed"}, variant
