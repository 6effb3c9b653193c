# SPDX-License-Identifier: BSD-3-Clause
"""What the addresses cost that a backend hands out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from allocmark.passes.placement import Placement, PlacementPass
from allocmark.results.records import RecordError, typed

RUN = ["run", "--rounds", "1", "--blocks", "4", "--sample-ms", "2", "--no-latency", "--no-reuse", "-o", "here"]
HELD = """\
format: 1
name: held
summary: Some objects are got once and for all.
source: s
pools: {kept: {object_size: 64, objects: 99}, used: {object_size: 64, objects: 99}}
actors:
  w:
    - repeat: {until_held: 8, steps: [{get: {from: kept, n: 8}}]}
    - get: {from: used, n: 4}
    - put: {which: newest, n: 4}
"""


def reply(ns: float, reason: str = "") -> dict[str, Any]:
    return {"ns": ns, "pages": "thp", "objects": 7, "reason": reason}


def test_kept_blocks_are_recorded():
    (record,) = PlacementPass().merge({0: reply(1.0), 1: reply(9.0), 2: reply(3.0)}, {0, 2}).values()
    assert record == {"ns_per_object": [1.0, 3.0], "pages": "thp", "objects": 7, "reason": ""}
    assert typed(Placement, record).median_ns() == 2.0


def test_a_reason_is_recorded_with_no_figures():
    (record,) = PlacementPass().merge({0: {"reason": "too large"}, 1: {"reason": "too large"}}, {0, 1}).values()
    assert record == {"ns_per_object": [], "pages": "", "objects": 0, "reason": "too large"}
    assert typed(Placement, record).median_ns() is None
    assert "Not everywhere: too large." in PlacementPass().note([typed(Placement, record)])


def test_the_floor_has_no_record():
    assert PlacementPass().merge({0: {}, 1: {}}, {0, 1}) == {}
    assert PlacementPass().merge({}, set()) == {}


def test_rounds_are_put_together():
    first, second = Placement([1.0, 2.0], "thp", 7, ""), Placement([3.0], "base", 9, "other pages")
    assert PlacementPass().combine({4: second, 0: first}) == Placement([3.0, 1.0, 2.0], "thp", 7, "", {4: 3.0, 0: 1.5})


def test_absurd_figures_are_refused():
    with pytest.raises(RecordError, match="ns_per_object holds numbers"):
        typed(Placement, {"ns_per_object": [-1.0], "pages": "", "objects": 0, "reason": ""})


def test_a_run_has_the_cost_of_the_addresses(allocmark_command, tmp_path):
    case = ["burst", "--short", "--set", "bulk=32", "--set", "keep=128,8192"]
    result = allocmark_command(*RUN, *case, "-b", "turbomem", "-b", "glibc", "--json", tmp_path / "all.json")
    assert result.returncode == 0, result.stderr
    cells = json.loads((tmp_path / "all.json").read_text())["cells"]
    assert [cell["backend"] for cell in cells] == ["null", "turbomem", "glibc"] * 2
    assert all(cell["status"] == "ok" for cell in cells)
    for cell in cells:
        found = cell["placement"]
        if cell["floor"]:
            assert found is None
            continue
        assert found["reason"] == ""
        assert found["pages"] == {"turbomem": "thp", "glibc": "base"}[cell["backend"]]
        assert found["objects"] >= cell["parameters"]["keep"]
        assert 0 < len(found["ns_per_object"]) <= 2  # fewer where a CPU changed its speed
    # The 18 MB of the replay are gone before a cell's memory is looked at.
    (turbomem,) = [cell for cell in cells if cell["backend"] == "turbomem" and cell["parameters"]["keep"] == 8192]
    populated, after = (turbomem["probes"][phase]["memory"]["process"]["resident"] for phase in ("populated", "after"))
    assert after < populated + (9 << 20)
    assert "burst: the same addresses without the backend" in result.stdout


def test_what_cannot_be_replayed_costs_no_cell(allocmark_command, tmp_path):
    (tmp_path / "held.yaml").write_text(HELD)
    result = allocmark_command(*RUN, "held.yaml", "-b", "glibc", "--json", tmp_path / "all.json")
    assert result.returncode == 0, result.stderr
    _, cell = json.loads((tmp_path / "all.json").read_text())["cells"]
    assert cell["status"] == "ok"
    assert len(cell["samples"]) == 4
    assert cell["placement"]["ns_per_object"] == []
    assert cell["placement"]["reason"].startswith("w[0] gets from pool 'kept' only before the samples")
    assert "Not everywhere: w[0] gets from pool 'kept'" in " ".join(result.stdout.split())
