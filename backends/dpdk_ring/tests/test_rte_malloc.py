# SPDX-License-Identifier: BSD-3-Clause
"""rte_malloc serves any size from a heap that is there at the start, on the pages that its variant says."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.backend_cells import attested, measured

pytestmark = pytest.mark.alone

MIXED = {"mix": "uniform", "lifetime": "random", "bulk": 32, "touch": 64, "cache": 256}
pages_of_both_kinds = pytest.mark.parametrize("pages", ["base", "hugetlb"])


@pages_of_both_kinds
def test_the_functions_of_the_eal_are_called(pages: str) -> None:
    found = measured(f"dpdk_ring:rte_malloc-{pages}", "mixed_sizes", MIXED)
    library = found.attestation["library"]
    assert "librte_eal" in library["file"]
    assert {"rte_malloc", "rte_free", "rte_calloc", "rte_realloc"} <= set(library["calls"])
    assert int(found.attestation["process"]["arena_bytes"]) >= found.attestation["live_bytes"] > 0


@pages_of_both_kinds
@pytest.mark.usefixtures("machine_as_before")
def test_objects_of_any_size(cell, pages: str) -> None:
    sizes = [1, 7, 64, 65, 4096, 100_000, 3 << 20]
    steps = ["init", "create", "any_size", "facts", "destroy", "fini"]
    seen = cell("rte_malloc", pages, steps, table="heap", sizes=sizes)
    assert seen["kept"] == [True] * (2 * len(sizes))
    assert seen["pool_facts"] == {"function": "rte_malloc", "usable_bytes": "2176"}
    assert seen["process_facts"]["lcores"] == "0"  # those of the threads are given back


@pages_of_both_kinds
def test_recorded_programs_are_replayed(pages: str, tmp_path: Path) -> None:
    label = f"dpdk_ring:rte_malloc-{pages}"
    attested(label)  # skips where it cannot run
    command = [sys.executable, "-m", "allocmark", "replay", "git", "-b", label, "--rounds", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pages_of_both_kinds
def test_more_small_objects_than_there_is_room_for(cell, pages: str) -> None:
    spec = {"object_size": 1, "objects": 10_000_000, "working_set": 10_000_000}
    seen = cell("rte_malloc", pages, ["init", "create"], table="heap", spec=spec, pool_bytes=1 << 20)
    assert seen["create"] == -errno.ENOMEM
    assert "objects of 1 bytes here, and 10000000 are wanted: ask for fewer or larger" in seen["create_message"]
