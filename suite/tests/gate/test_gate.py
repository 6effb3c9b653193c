# SPDX-License-Identifier: BSD-3-Clause
"""`allocmark track gate` on real commits. The slowdown planted is large, for other processes may share the cores."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import assert_refused

pytestmark = pytest.mark.alone

#: Nothing below half as slow again is an alarm: twice as slow is seen on any machine, and equal files are, too.
COARSE = ("--limit", "50")


def finished(history):
    return sorted((history.folder / ".allocmark" / "finished").glob("gate-*"))


def test_a_slowdown_is_found_and_kept(track, history):
    done = track("gate", history.fast, history.slow, history.workload, *COARSE)
    assert done.returncode == 1, done.stdout + done.stderr
    (row,) = [line for line in done.stdout.splitlines() if "freelist:default" in line]
    assert "slower" in row
    assert 1.5 < float(row.split()[0]) < 2.5
    file = done.stdout.partition("samples: ")[2].split("\n")[0]
    header, *rounds = map(json.loads, Path(file).read_text().splitlines())
    assert header["commits"] == [history.fast, history.slow]
    assert len(rounds) >= 12
    assert all(len(each["samples"][0]) == len(each["samples"][1]) for each in rounds)
    # What separates the sides is told of every process, so it is looked at in every round.
    resident = "resident bytes per object beyond its size, pool mbuf"
    assert all(resident in facts for each in rounds for facts in each["facts"])


def test_equal_files_pass_without_measuring(track, history):
    before = finished(history)
    done = track("gate", history.slow, history.news, history.workload)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "freelist:default: not measured: its files are the same on both sides" in done.stdout
    assert finished(history) == before


def test_variables_that_change_malloc_are_told(track, history, monkeypatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    done = track("gate", history.slow, history.news, history.workload)
    assert "MALLOC_ARENA_MAX=1 was set: every backend was measured with it" in done.stdout


def test_a_change_that_costs_nothing_passes(track, history):
    done = track("gate", history.fast, history.remark, history.workload, *COARSE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Passed" in done.stdout


def test_a_commit_that_does_not_build_cannot_be_measured(track, history):
    done = track("gate", history.fast, history.broken, history.workload)
    assert done.returncode == 2
    assert "src/freelist.c" in done.stdout
    assert "error:" in done.stdout
    assert "Not measured: " in done.stdout


def test_a_commit_without_backends_is_refused(track, history):
    done = track("gate", history.nothing, history.fast, history.workload)
    assert_refused(done, history.nothing, "has no backends")


def test_what_makes_no_sense_is_said_in_one_line(track, history, tmp_path):
    assert_refused(track("gate", "nonsense", history.fast), "no commit 'nonsense'")
    assert_refused(track("gate", history.fast, history.slow, "-b", "freelits"), "no backend is called 'freelits'")
    assert_refused(track("gate", history.broken, history.broken, "-b", "freelist"), "freelist", "error:")
    assert_refused(track("gate", history.fast, history.slow, "nowhere"), "nowhere")
    assert_refused(track("gate", "HEAD", "HEAD", cwd=tmp_path), "not a git repository")
    assert_refused(track("gate", "HEAD", "HEAD", "--limit", "much"), "--limit", "'much'")
    compared = history.fast, history.slow, history.workload
    assert_refused(track("gate", *compared, "--markdown", "nowhere/table.md"), "--markdown nowhere/table.md: cannot be")
    assert_refused(track("gate", *compared, "--markdown", str(tmp_path)), "is a folder, expected a file")


@pytest.mark.parametrize("ending", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_a_gate_that_is_ended_goes_on_where_it_was(track, history, ending):
    # So small a limit is never certain within the few rounds that this needs.
    arguments = ["gate", history.fast, history.remark, history.workload, "--limit", "0.1", "--budget"]
    begun = subprocess.Popen(
        [sys.executable, "-m", "allocmark", "track", *arguments, "5"],
        cwd=history.folder,
        env={**os.environ, "PYTHONPATH": ""},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A shell starts what runs in the background with it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    journals = history.folder / ".allocmark" / "gates"
    deadline = time.monotonic() + 120
    while sum(len(file.read_bytes().splitlines()) for file in journals.glob("*.jsonl")) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    begun.send_signal(ending)
    assert begun.wait(30) == (130 if ending == signal.SIGINT else -ending)
    (journal,) = journals.glob("*.jsonl")
    kept = journal.read_bytes().splitlines()
    spent = sum(json.loads(line)["seconds"] for line in kept[1:])
    with journal.open("ab") as file:
        file.write(b'{"pair": "cut sh')  # as a kill in the middle of a write would leave it

    done = track(*arguments, str((spent + 1) / 60))
    assert done.returncode == 3, done.stdout + done.stderr
    file = done.stdout.partition("samples: ")[2].split("\n")[0]
    lines = Path(file).read_bytes().splitlines()
    assert lines[: len(kept)] == kept
    assert len(lines) > len(kept)
    assert sum(json.loads(line)["seconds"] for line in lines[1:-1]) < spent + 1  # the budget is that of both together
    assert not list(journals.glob("*.jsonl"))
