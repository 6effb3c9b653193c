# SPDX-License-Identifier: BSD-3-Clause
"""Proofs that take minutes: ``make test-long``."""

from __future__ import annotations

import json

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


def verified(result) -> None:
    cells = json.loads(result.stdout)["cells"]
    lost = [f"{cell['backend']}:{cell['variant']}: {cell['reason']}" for cell in cells if cell["status"] == "failed"]
    assert not lost
    assert result.returncode == 0, result.stderr
    assert any(cell["status"] == "ok" for cell in cells)


@pytest.mark.parametrize("workload", ["burst", "mixed_sizes", "cross_core_free"])
def test_every_cell_passes_verification(allocmark_command, workload):
    """The whole sweep, with the default variant of every backend that is installed."""
    verified(allocmark_command("run", workload, "--verify", "--json", "-", timeout=3000))


def test_every_variant_passes_verification(allocmark_command):
    listed = json.loads(allocmark_command("list", "backends", "--json").stdout)
    names = sorted({row["name"] for row in listed if row["available"] and row["name"] != "null"})
    wanted = [option for name in names for option in ("-b", f"{name}:*")]
    verified(allocmark_command("run", "--verify", "--json", "-", *wanted, timeout=3000))


def test_no_net_where_a_backend_costs_less_than_the_floor(allocmark_command):
    """Every case of the default workloads: the net of a backend that is certainly below the floor would be wrong."""
    quick = ["--rounds", "21", "--blocks", "3", "--sample-ms", "2", "--no-latency", "--no-reuse", "--no-placement"]
    workloads = ["burst", "mixed_sizes", "cross_core_free"]
    document = json.loads(allocmark_command("run", *workloads, "--json", "-", *quick, timeout=3500).stdout)
    assert len(document["cases"]) > 200
    looked_at = 0
    for case in document["cases"]:
        cells = [cell for cell in document["cells"] if cell["case"] == case["case"] and cell["status"] == "ok"]
        floor = next(cell["processes"] for cell in cells if cell["floor"])
        for cell in cells:
            lower = [ns < 0.95 * floor[number] for number, ns in cell["processes"].items()]
            if len(lower) > 15 and sum(lower) >= len(lower) - 1:
                looked_at += 1
                label = f"{cell['backend']}:{cell['variant']}"
                assert label in (case["no_net"] or ""), (case["workload"], case["parameters"], label)
                assert cell["net_median"] is None
    print(f"{looked_at} cells of {len(document['cells'])} lie below the floor")
