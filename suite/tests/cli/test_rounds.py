# SPDX-License-Identifier: BSD-3-Clause
"""Runs for real, of several rounds: what is left when one is interrupted or killed, and when processes crash."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import assert_refused, make_plugin

from allocmark.measuring.draws import Draw
from allocmark.results.store import Run, read_run
from allocmark.stats import least_rounds

ONE = ["burst", "--short", "--set", "bulk=8", "--set", "keep=128"]
SHORT = ["--blocks", "2", "--sample-ms", "1", "--no-latency", "--no-reuse"]
TWO = [*ONE, "-b", "mutant", "-b", "mutant:outside", *SHORT]  # which cost the same

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def begin(mutants: Path, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A run that goes on while the test does something."""
    return subprocess.Popen(
        [sys.executable, "-m", "allocmark", "run", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(mutants)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_rounds(process: subprocess.Popen[str], file: Path, n: int) -> None:
    while not file.exists() or file.read_bytes().count(b'"type":"case"') < n:
        assert process.poll() is None
        time.sleep(0.02)


def numbers(run: Run) -> list[int]:
    return [each.round for each in run.rounds[0]]


def layouts(run: Run) -> list[list[dict[str, Any]]]:
    """What was drawn, without what only the system decides."""
    drawn = ("round", "padding", "seed")
    return [[{k: each[k] for k in drawn if k in each} for each in cell.layouts] for cell in run.cases[0].cells]


def test_each_round_has_processes_of_its_own(allocmark_command: Command, mutants: Path, tmp_path: Path) -> None:
    result = allocmark_command("run", *TWO, "--rounds", "3", "--seed", "5", "-o", "here", plugins=[mutants])
    assert result.returncode == 0, result.stderr
    run = read_run(tmp_path / "here")
    assert numbers(run) == [0, 1, 2]
    assert run.end
    assert run.end.rounds == 3
    (planned,) = run.header.plan
    for index, cell in enumerate(run.cases[0].cells):
        assert len(cell.samples) == 6
        label = f"{index} {cell.label}"
        draws = [Draw.of(5, planned.title, label, number) for number in range(3)]
        assert [(each["round"], each["padding"]) for each in cell.layouts] == [(d.round, d.padding) for d in draws]
    assert "no verdict" in result.stdout.lower()


def test_a_resumed_run_draws_what_an_uninterrupted_one_does(
    allocmark_command: Command, mutants: Path, tmp_path: Path
) -> None:
    assert allocmark_command("run", *TWO, "--rounds", "4", "-o", "whole", plugins=[mutants]).returncode == 0
    file = tmp_path / "whole" / "run.jsonl"
    whole = read_run(file)
    # Header, two rounds of three cells and a case line, and half a cell.
    lines = file.read_bytes().splitlines(keepends=True)
    kept = b"".join(lines[:9])
    file.write_bytes(kept + lines[9][:100])
    result = allocmark_command("run", "--resume", "whole", plugins=[mutants])
    assert result.returncode == 0, result.stderr
    again = read_run(file)
    assert numbers(again) == [0, 1, 2, 3]
    assert layouts(again) == layouts(whole)
    assert file.read_bytes().startswith(kept)


def test_a_round_missing_in_the_middle_is_measured_again(
    allocmark_command: Command, mutants: Path, tmp_path: Path
) -> None:
    assert allocmark_command("run", *TWO, "--rounds", "3", "-o", "here", plugins=[mutants]).returncode == 0
    file = tmp_path / "here" / "run.jsonl"
    whole = read_run(file)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:5] + lines[9:]))
    shown = allocmark_command("show", "here")
    assert (shown.returncode, "of a run of 3 rounds, of which 1 are missing" in shown.stderr) == (2, True)
    assert allocmark_command("run", "--resume", "here", plugins=[mutants]).returncode == 0
    assert (numbers(read_run(file)), layouts(read_run(file))) == ([0, 1, 2], layouts(whole))


def test_ctrl_c_keeps_complete_rounds(allocmark_command: Command, mutants: Path, tmp_path: Path) -> None:
    process = begin(mutants, tmp_path, *TWO, "--blocks", "40", "--rounds", "40", "-o", "here")
    file = tmp_path / "here" / "run.jsonl"
    wait_for_rounds(process, file, 2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted; what was measured is kept" in err
    assert "the floor" in out
    run = read_run(file)
    assert run.damage == {}
    assert run.end
    assert run.end.interrupted
    assert 2 <= len(numbers(run)) < 40
    assert all(len(cell.samples) == 40 for each in run.rounds[0] for cell in each.cells)


def test_kill_loses_only_the_round_in_flight(allocmark_command: Command, mutants: Path, tmp_path: Path) -> None:
    process = begin(mutants, tmp_path, *TWO, "--rounds", "4", "-o", "here")
    file = tmp_path / "here" / "run.jsonl"
    wait_for_rounds(process, file, 2)
    process.kill()
    process.communicate()
    before = read_run(file)
    assert set(before.damage.values()) <= {"cut off here"}
    assert numbers(before) == [*range(len(numbers(before)))]
    assert allocmark_command("run", "--resume", "here", plugins=[mutants]).returncode == 0
    after = read_run(file)
    assert numbers(after) == [0, 1, 2, 3]
    assert after.rounds[0][: len(numbers(before))] == before.rounds[0]


def test_two_runs_do_not_share_a_folder(allocmark_command: Command, mutants: Path, tmp_path: Path) -> None:
    process = begin(mutants, tmp_path, *TWO, "--blocks", "40", "--rounds", "40", "-o", "here")
    try:
        wait_for_rounds(process, tmp_path / "here" / "run.jsonl", 1)
        assert_refused(allocmark_command("run", *TWO, "-o", "here", plugins=[mutants]), "exists already")
        again = allocmark_command("run", "--resume", "here", plugins=[mutants])
        assert_refused(again, "another process is writing this run")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("form", [1, 2])
def test_a_run_from_before_rounds_is_not_resumed(allocmark_command: Command, tmp_path: Path, form: int) -> None:
    older = Path(__file__).parents[1] / "results" / "data" / f"format{form}.jsonl"
    (tmp_path / "old").mkdir()
    file = tmp_path / "old" / "run.jsonl"
    file.write_bytes(older.read_bytes())
    assert_refused(allocmark_command("run", "--resume", "old"), "an older allocmark, which knew no rounds")
    assert file.read_bytes() == older.read_bytes()


def test_a_run_is_resumed_with_the_variables_that_it_was_begun_with(
    allocmark_command: Command, mutants: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert allocmark_command("run", *TWO, "--rounds", "1", "-o", "here", plugins=[mutants]).returncode == 0
    monkeypatch.setenv("MIMALLOC_SHOW_STATS", "1")
    again = allocmark_command("run", "--resume", "here", plugins=[mutants])
    assert_refused(again, "here: was begun with another value of MIMALLOC_SHOW_STATS: set it as it was")


# A backend of which single processes crash

TOY = """
import os
import signal

import allocmark
from mutants_native import ffi, lib

if "ALLOCMARK_PADDING" in os.environ:  # in the process of a cell
    with open(os.environ["TOY_STARTS"], "a") as file:
        file.write("x")
        number = file.tell()
    if str(number) in os.environ["TOY_CRASHES"].split():
        os.kill(os.getpid(), signal.SIGKILL)

@allocmark.hookimpl
def allocmark_backends():
    table = int(ffi.cast("uintptr_t", lib.mutant_table(b"good")))
    return [allocmark.Backend(name="toy", variant="default", description="crashes", version="1", table=table)]
"""


def run_toy(
    command: Command, mutants: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, crashes: str, rounds: int
) -> tuple[subprocess.CompletedProcess[str], Run, int]:
    """The result, the run, and how many processes of the toy were started."""
    starts = folder / "starts"
    monkeypatch.setenv("TOY_STARTS", str(starts))
    monkeypatch.setenv("TOY_CRASHES", crashes)
    toy = make_plugin(folder / "toy", "toy", TOY)
    arguments = [*ONE, "-b", "mutant", "-b", "toy", *SHORT, "--rounds", str(rounds), "-o", "here"]
    result = command("run", *arguments, plugins=[mutants, toy])
    return result, read_run(folder / "here"), len(starts.read_text())


def test_a_process_that_crashes_is_noted(
    allocmark_command: Command, mutants: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, run, starts = run_toy(allocmark_command, mutants, tmp_path, monkeypatch, "2", 5)
    assert (result.returncode, starts) == (0, 5), result.stderr
    assert "toy: 1 of 5 processes failed, the last one: killed by SIGKILL" in " ".join(result.stdout.split())
    cell = run.cases[0].cells[-1]
    assert (cell.label, cell.status, len(cell.samples)) == ("toy:default", "ok", 8)
    assert len(run.cases[0].cells[0].samples) == 10


def test_a_backend_that_keeps_crashing_fails_and_is_not_started_again(
    allocmark_command: Command, mutants: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, run, starts = run_toy(allocmark_command, mutants, tmp_path, monkeypatch, "2 3 5 6", 5)
    assert (result.returncode, starts) == (1, 3), result.stderr
    lost = run.cases[0].cells[-1]
    assert lost.status == "failed"
    assert lost.reason
    assert "killed by SIGKILL" in lost.reason
    assert lost.reason in " ".join(result.stdout.split())
    assert [cell.status for cell in run.cases[0].cells[:2]] == ["ok", "ok"]
    assert numbers(run) == [0, 1, 2, 3, 4]


# Time


def test_a_budget_without_room_for_a_verdict_is_refused(
    allocmark_command: Command, mutants: Path, tmp_path: Path
) -> None:
    result = allocmark_command("run", *TWO, "--budget", "1s", plugins=[mutants])
    assert_refused(result, f"--budget 1s is too small: {least_rounds(1)} rounds of each case")
    enough = re.search(r"give (--budget \d+s) or more", result.stderr)
    assert enough
    taken = allocmark_command("run", *TWO, *enough[1].split(), "--dry-run", plugins=[mutants])
    assert taken.returncode == 0, taken.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.alone
def test_the_budget_ends_a_run(allocmark_command: Command, mutants: Path, tmp_path: Path) -> None:
    result = allocmark_command(
        "run", *TWO, "--blocks", "20", "--budget", "9s", "--rounds", "500", "-o", "here", plugins=[mutants]
    )
    assert result.returncode == 0, result.stderr
    run = read_run(tmp_path / "here")
    assert run.end
    assert not run.end.interrupted
    assert least_rounds(1) <= len(numbers(run)) < 60


@pytest.mark.parametrize("wrong", ["0", "x", "-3s", "1d"])
def test_a_budget_that_is_no_time(allocmark_command: Command, wrong: str) -> None:
    assert_refused(allocmark_command("run", *ONE, f"--budget={wrong}"), "is not a time such as 90s, 10m or 2h")


def test_a_dry_run_measures_and_writes_nothing(allocmark_command: Command, mutants: Path, tmp_path: Path) -> None:
    result = allocmark_command("run", *TWO, "--dry-run", plugins=[mutants])
    assert result.returncode == 0, result.stderr
    first, last = result.stdout.splitlines()
    assert first.endswith("null:default, mutant:none, mutant:outside")
    assert re.fullmatch(r"1 case, 3 cells: about \d+ s to \d+ s", last)
    assert not list(tmp_path.iterdir())
