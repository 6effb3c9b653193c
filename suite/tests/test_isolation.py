# SPDX-License-Identifier: BSD-3-Clause
"""What goes wrong in one cell costs that cell alone."""

from __future__ import annotations

import json
import re

import pytest

CELL = ["burst", "--set", "bulk=8", "--set", "keep=128", "--short", "--set", "pools.mbuf.objects=2000"]
QUICK = ["--blocks", "8", "--sample-ms", "2"]


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("crash", "killed by SIGSEGV during sample"),
        ("killed", "killed by SIGKILL during sample (the kernel does this when memory runs out)"),
        ("abort", "killed by SIGABRT during sample; it said: mutants: heap is corrupt, giving up"),
        ("exit", "ended by itself during sample, exit status 7"),
        ("hang", "hung: no answer to sample for 3 s"),
        ("exhausted", "had no 8 objects for 1.5 s"),
        ("no_thp", "populated: declared hugetlb, but the kernel reports 0 of"),
    ],
)
def test_a_lost_cell_says_why_and_the_rest_goes_on(allocmark_command, mutants, variant, words):
    result = allocmark_command(
        *["run", *CELL, *QUICK, "-b", f"mutant:{variant}", "-b", "mutant:none", "--timeout", "3", "--json", "-"],
        plugins=[mutants],
    )
    assert result.returncode == 1, result.stderr
    cells = {cell["variant"]: cell for cell in json.loads(result.stdout)["cells"]}
    assert cells[variant]["status"] == "failed"
    # At whichever of its passes it is met first.
    assert words in re.sub("set-up|reuse|latency", "sample", cells[variant]["reason"])
    assert cells["none"]["status"] == "ok"
    assert len(cells["none"]["samples"]) == 8
    assert len(cells["default"]["samples"]) == 8  # the floor


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("no_memory", "pool_create failed: Cannot allocate memory"),
        ("init_fails", "the licence of this allocator has run out"),
        ("enter_fails", "no room for one more thread"),
    ],
)
def test_what_refuses_to_be_set_up_is_unavailable(allocmark_command, mutants, variant, words):
    result = allocmark_command(
        *["run", *CELL, *QUICK, "-b", f"mutant:{variant}", "-b", "mutant:none", "--json", "-"], plugins=[mutants]
    )
    assert result.returncode == 1, result.stderr  # it was asked for by name
    cells = {cell["variant"]: cell for cell in json.loads(result.stdout)["cells"]}
    assert cells[variant]["status"] == "unavailable"
    assert words in cells[variant]["reason"]
    assert cells["none"]["status"] == "ok"


def test_a_failed_cell_is_a_row_of_the_table(allocmark_command, mutants):
    result = allocmark_command("run", *CELL, *QUICK, "-b", "mutant:init_fails", "-b", "mutant:none", plugins=[mutants])
    assert result.returncode == 1
    assert "mutant:init_fails" in result.stdout
    assert "the licence of this allocator has run out" in result.stdout
    assert "run file: runs/" in result.stdout


def test_what_cannot_run_a_workload_is_unavailable(allocmark_command, mutants):
    result = allocmark_command(
        *["run", "cross_core_free", "--short", "--set", "hold=0", "--set", "touch=0", *QUICK],
        *["-b", "mutant:alo*", "-b", "mutant:none", "--json", "-"],
        plugins=[mutants],
    )
    assert result.returncode == 0, result.stderr
    cells = {cell["variant"]: cell for cell in json.loads(result.stdout)["cells"]}
    assert cells["alone"]["status"] == "unavailable"
    assert cells["alone"]["reason"] == "for at most 1 actor per pool, and 2 use 'mbuf'"
    assert cells["none"]["status"] == "ok"
