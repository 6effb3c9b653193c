# SPDX-License-Identifier: BSD-3-Clause
"""What goes wrong in one cell costs that cell alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from support import setting, started

from fixtures.simulated import edit_run

CELL = ["burst", "--short", *setting(bulk=8, keep=128, **{"pools.mbuf.objects": 2000})]
CROSS = ["cross_core_free", "--short", *setting(hold=0, touch=0)]
QUICK = ["--rounds", "1", "--blocks", "8", "--sample-ms", "2"]


def by_variant(result) -> dict[str, dict]:
    return {cell["variant"]: cell for cell in json.loads(result.stdout)["cells"]}


#: By variant, what becomes of its cell and how that is told.
AT_ONCE = {
    "crash": ("failed", "killed by SIGSEGV in get_bulk during sample"),
    "put_crash": ("failed", "killed by SIGSEGV in put_bulk during sample"),
    "create_crash": ("failed", "killed by SIGSEGV in pool_create during sample"),
    "killed": ("failed", "killed by SIGKILL during sample (the kernel does this when memory runs out)"),
    "kill_parent": (
        "failed",
        "lost its parent process to SIGKILL (code that signals its parent does this) during sample",
    ),
    "term_parent": ("failed", "sent SIGTERM to its parent process during sample"),
    "abort": ("failed", "during sample; it said: mutants: heap is corrupt, giving up"),
    "exit": ("failed", "ended by itself during sample, exit status 7"),
    "no_thp": ("failed", "populated: declared hugetlb, but the kernel reports 0 of"),
    # What refuses to be set up.
    "no_memory": ("unavailable", "pool_create failed: Cannot allocate memory"),
    "init_fails": ("unavailable", "the licence of this allocator has run out"),
    "enter_fails": ("unavailable", "no room for one more thread"),
}
IN_TIME = {
    "hang": ("failed", "hung: no answer to sample for 3 s"),
    "exhausted": ("failed", "had no 8 objects for 1.5 s"),
}


@pytest.mark.parametrize(
    ("lost", "options"),
    [
        pytest.param(AT_ONCE, [], id="once"),
        pytest.param(IN_TIME, ["--timeout", "3"], id="in time", marks=pytest.mark.alone),
    ],
)
def test_lost_cells_say_why_and_the_rest_goes_on(allocmark_command, mutants, lost, options):
    named = [word for variant in [*lost, "none"] for word in ("-b", f"mutant:{variant}")]
    result = allocmark_command("run", *CELL, *QUICK, *named, *options, "--json", "-", plugins=[mutants])
    assert result.returncode == 1, result.stderr  # they were asked for by name
    cells = by_variant(result)
    for variant, (status, words) in lost.items():
        assert cells[variant]["status"] == status, variant
        # At whichever of its passes it is met first.
        assert words in re.sub("set-up|reuse|latency|placement", "sample", cells[variant]["reason"]), variant
    for variant in ("none", "default"):  # the floor
        assert cells[variant]["status"] == "ok"
        assert len(cells[variant]["samples"]) == 8


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


def descendants(pid: int) -> list[int]:
    return [each for child in children(pid) for each in (child, *descendants(child))]


@pytest.mark.parametrize("variant", ["fork_crash", "daemon_crash"])
def test_a_cell_that_dies_is_not_taken_for_hung_and_what_it_started_ends(allocmark_command, mutants, variant):
    begun = time.monotonic()
    result = allocmark_command(
        *["run", *CELL, *QUICK, "-b", f"mutant:{variant}", "--timeout", "50", "--json", "-"], plugins=[mutants]
    )
    assert time.monotonic() - begun < 50
    (reason,) = [cell["reason"] for cell in json.loads(result.stdout)["cells"] if cell["variant"] == variant]
    child = re.fullmatch(r"killed by SIGSEGV in get_bulk during \w+; it said: mutants: child (\d+)", reason)
    assert child, reason
    assert not alive(int(child[1]))


def test_cells_end_with_the_run_that_is_killed(mutants, tmp_path):
    with started(tmp_path, mutants, "run", *CELL, *QUICK, "-b", "mutant:fork_hang", "-o", "here") as run:
        try:
            # A guard, its worker, and what that forked.
            wait_until(lambda: any(map(children, (each for cell in children(run.pid) for each in children(cell)))))
            all_of_them = descendants(run.pid)
        finally:
            run.kill()
    wait_until(lambda: not any(map(alive, all_of_them)), 15)


def test_resuming_measures_cases_with_a_failed_cell_again(allocmark_command, mutants, tmp_path):
    command = ["run", *CELL, *QUICK, "-b", "mutant:none", "-o", "here"]
    assert allocmark_command(*command, plugins=[mutants]).returncode == 0

    def kill(lines: list[dict]) -> None:
        (lost,) = [line for line in lines if line.get("variant") == "none"]
        lost |= {"status": "failed", "reason": "killed by SIGKILL", "samples": [], "blocks": [], "disturbed": {}}

    edit_run(tmp_path / "here" / "run.jsonl", kill)
    assert allocmark_command("show", "here").stdout.count("killed by SIGKILL")
    resumed = allocmark_command("run", "--resume", "here", plugins=[mutants])
    assert resumed.returncode == 0, resumed.stderr
    assert "measured again: 1 case in which a cell failed" in resumed.stderr
    cells = json.loads(allocmark_command("show", "here", "--json").stdout)["cells"]
    assert [cell["status"] for cell in cells] == ["ok", "ok"]
    again = allocmark_command("run", "--resume", "here", plugins=[mutants])
    assert "measured again" not in again.stderr


def test_a_failed_cell_is_a_row_of_the_table(allocmark_command, mutants):
    result = allocmark_command("run", *CELL, *QUICK, "-b", "mutant:init_fails", "-b", "mutant:none", plugins=[mutants])
    assert result.returncode == 1
    assert "mutant:init_fails" in result.stdout
    assert "the licence of this allocator has run out" in result.stdout
    assert "run file: runs/" in result.stdout


def test_what_cannot_run_a_workload_is_unavailable(allocmark_command, mutants):
    result = allocmark_command(
        *["run", *CROSS, *QUICK, "-b", "mutant:alo*", "-b", "mutant:none", "--json", "-"], plugins=[mutants]
    )
    assert result.returncode == 0, result.stderr
    cells = by_variant(result)
    assert cells["alone"]["status"] == "unavailable"
    assert cells["alone"]["reason"] == "for at most 1 actor per pool, and 2 use 'mbuf': choose fewer actors with --set"
    assert cells["none"]["status"] == "ok"


def test_a_pool_that_runs_empty_and_variables_that_change_malloc_are_told(allocmark_command, mutants, monkeypatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    result = allocmark_command(
        *["run", *CROSS, "--set", "pools.mbuf.objects=64", *QUICK, "--no-latency", "--no-reuse", "--no-placement"],
        *["-b", "mutant:none"],
        plugins=[mutants],
    )
    assert result.returncode == 0, result.stderr
    assert "MALLOC_ARENA_MAX=1 was set: every backend" in result.stdout
    assert re.search(r"mutant:none.*: \d+ % of its gets found too few objects", result.stdout), result.stdout


def test_an_actor_that_is_moved_to_another_cpu_is_told(mutants, tmp_path):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one CPU")
    arguments = [
        "run",
        "burst",
        "--short",
        *setting(bulk=8, keep=128, cores=2),
        "--blocks",
        "100",
        "--sample-ms",
        "10",
        "--rounds",
        "1",
    ]
    arguments += ["--no-latency", "--no-reuse", "--no-placement", "-b", "mutant:none"]
    with started(tmp_path, mutants, *arguments, stdout=subprocess.PIPE, text=True) as run:
        try:
            wait_until(lambda: len(children(run.pid)) == 2)
            while run.poll() is None:  # again and again: each block has threads of its own
                with suppress(OSError):  # some have ended
                    for cell in descendants(run.pid):
                        for thread in Path(f"/proc/{cell}/task").iterdir():
                            os.sched_setaffinity(int(thread.name), {min(os.sched_getaffinity(0))})
                time.sleep(0.002)
            out, _ = run.communicate(timeout=120)
        finally:
            run.kill()
    assert "an actor was not on its own CPU" in out
