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
