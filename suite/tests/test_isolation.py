# SPDX-License-Identifier: BSD-3-Clause
"""What goes wrong in one cell costs that cell alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from allocmark.results.records import sealed

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


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    """Of all its threads."""
    return [int(each) for file in Path(f"/proc/{pid}/task").glob("*/children") for each in file.read_text().split()]


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_cell_that_dies_is_not_taken_for_hung_and_its_children_end(allocmark_command, mutants):
    begun = time.monotonic()
    result = allocmark_command(
        *["run", *CELL, *QUICK, "-b", "mutant:fork_crash", "--timeout", "50", "--json", "-"], plugins=[mutants]
    )
    assert time.monotonic() - begun < 50
    (reason,) = [cell["reason"] for cell in json.loads(result.stdout)["cells"] if cell["variant"] == "fork_crash"]
    child = re.fullmatch(r"killed by SIGSEGV during \w+; it said: mutants: child (\d+)", reason)
    assert child, reason
    assert not alive(int(child[1]))


def test_cells_end_with_the_run_that_is_killed(mutants, tmp_path):
    command = [sys.executable, "-m", "allocmark", "run", *CELL, *QUICK, "-b", "mutant:fork_hang", "-o", "here"]
    with subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(mutants)}) as run:
        try:
            wait_until(lambda: any(children(cell) for cell in children(run.pid)))
            cells = children(run.pid)
            started = [*cells, *(each for cell in cells for each in children(cell))]
        finally:
            run.kill()
    wait_until(lambda: not any(map(alive, started)), 15)


def test_resuming_measures_cases_with_a_failed_cell_again(allocmark_command, mutants, tmp_path):
    command = ["run", *CELL, *QUICK, "-b", "mutant:none", "-o", "here"]
    assert allocmark_command(*command, plugins=[mutants]).returncode == 0
    file = tmp_path / "here" / "run.jsonl"
    # As if the process of one cell had been killed.
    lines = [{k: v for k, v in json.loads(line).items() if k != "crc"} for line in file.read_text().splitlines()]
    (lost,) = [line for line in lines if line.get("variant") == "none"]
    lost |= {"status": "failed", "reason": "killed by SIGKILL", "samples": [], "blocks": [], "disturbed": {}}
    file.write_bytes(b"".join(sealed(json.dumps(line, separators=(",", ":")).encode()) for line in lines))
    assert allocmark_command("show", "here").stdout.count("killed by SIGKILL")
    resumed = allocmark_command("run", "--resume", "here", plugins=[mutants])
    assert resumed.returncode == 0, resumed.stderr
    assert "measured again: 1 case in which a cell failed" in resumed.stderr
    cells = json.loads(allocmark_command("show", "here", "--json").stdout)["cells"]
    assert [cell["status"] for cell in cells] == ["ok", "ok"]
    again = allocmark_command("run", "--resume", "here", plugins=[mutants])
    assert "measured again" not in again.stderr


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


def test_a_pool_that_runs_empty_and_variables_that_change_malloc_are_told(allocmark_command, mutants, monkeypatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    result = allocmark_command(
        *["run", "cross_core_free", "--short", "--set", "hold=0", "--set", "touch=0", "--set", "pools.mbuf.objects=64"],
        *[*QUICK, "--no-latency", "--no-reuse", "--no-placement", "-b", "mutant:none"],
        plugins=[mutants],
    )
    assert result.returncode == 0, result.stderr
    assert "MALLOC_ARENA_MAX=1 was set: every backend" in result.stdout
    assert re.search(r"mutant:none.*: \d+ % of its gets found too few objects", result.stdout), result.stdout


def test_an_actor_that_is_moved_to_another_cpu_is_told(mutants, tmp_path):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one CPU")
    command = [
        *[
            sys.executable,
            "-m",
            "allocmark",
            "run",
            "burst",
            "--set",
            "bulk=8",
            "--set",
            "keep=128",
            "--set",
            "cores=2",
        ],
        *["--short", "--blocks", "400", "--sample-ms", "5", "--no-latency", "--no-reuse", "--no-placement"],
        *["-b", "mutant:none"],
    ]
    environment = {**os.environ, "PYTHONPATH": str(mutants)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as run:
        try:
            wait_until(lambda: len(children(run.pid)) == 2)
            time.sleep(2)
            for cell in children(run.pid):
                for thread in Path(f"/proc/{cell}/task").iterdir():
                    os.sched_setaffinity(int(thread.name), {min(os.sched_getaffinity(0))})
            out, _ = run.communicate(timeout=120)
        finally:
            run.kill()
    assert "an actor was not on its own CPU" in out
