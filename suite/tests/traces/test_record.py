# SPDX-License-Identifier: BSD-3-Clause
"""What a program did, and what its trace says of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import assert_refused

from allocmark.traces.recording import record
from allocmark.traces.trace_file import CALLOC, FREE, MALLOC, REALLOC, Trace, TraceCall

Recorder = Callable[..., Any]
Runner = Callable[..., "subprocess.CompletedProcess[str]"]

MARK = 7000001  # as in many_threads.c


def _held_at_marks(path: Path) -> list[int]:
    """Live bytes each time the program rested."""
    found, live, sizes = [], 0, dict[int, int]()
    with Trace(path) as trace:
        trace.check()
        for event in sorted(trace.calls(), key=lambda event: event.ns):
            if event.kind != FREE and MARK <= event.size < MARK + 4:
                found.append(live)
            live += event.size - sizes.pop(event.slot, 0)
            if event.kind != FREE:
                sizes[event.slot] = event.size
    return found


@pytest.mark.parametrize("threads", [1, 2, 16])
def test_a_trace_has_exactly_the_bytes_that_the_program_held(recorded: Recorder, threads: int) -> None:
    status, (process, *others), held = recorded(threads, 20000 // threads)
    assert (status, others) == (0, [])
    assert (process.unknown_frees, process.missed_frees, process.threads) == (0, 0, 4 * threads + 1)
    assert len(held) == 4
    found = _held_at_marks(process.path)
    # Beside what the program holds, the C library keeps the stacks of threads that ended, with an object for each.
    kept = {a - b for a, b in zip(found, held, strict=True)}
    assert len(kept) == 1
    assert kept.pop() < 20_000


@pytest.mark.parametrize(("end", "by"), [("crash", signal.SIGSEGV), ("kill", signal.SIGKILL)])
def test_a_program_that_dies_leaves_everything(recorded: Recorder, end: str, by: signal.Signals) -> None:
    status, (process,), held = recorded(2, 500, end)
    assert status == -by
    assert len(_held_at_marks(process.path)) == len(held) == 4


def test_a_fork_has_a_trace_of_its_own(recorded: Recorder) -> None:
    status, made, _ = recorded(2, 500, "fork")
    assert status == 0
    parent, child = made
    assert parent.missed_frees == 0
    assert child.inherited
    with Trace(child.path) as trace:
        trace.check()
        assert sum(event.size == 33 and event.kind == MALLOC for event in trace.calls()) == 100


def test_a_program_that_closes_all_files_is_recorded(recorded: Recorder) -> None:
    _, (process,), held = recorded(2, 500, "close")
    assert len(_held_at_marks(process.path)) == len(held)


def test_exec_and_children_have_traces_of_their_own(tmp_path: Path) -> None:
    python = sys.executable
    script = f"import os, subprocess; subprocess.run(['ls', '/']); os.execv({python!r}, [{python!r}, '-c', 'print(1)'])"
    status, made = record([python, "-c", script], tmp_path / "python.trace")
    assert status == 0
    commands = [process.command for process in made]
    assert [python, "-c", "print(1)"] in commands
    assert [python, "-c", script] in commands
    assert ["ls", "/"] in commands
    assert made[0].path == tmp_path / "python.trace"
    assert {each.path.parent for each in made[1:]} == {tmp_path / "python-others"}
    assert not (tmp_path / "python.trace.recording").exists()


def test_a_child_without_the_recorder_costs_nothing_but_its_own_trace(tmp_path: Path) -> None:
    status, made = record(["env", "-u", "LD_PRELOAD", "sh", "-c", "true"], tmp_path / "env.trace")
    assert status == 0
    assert [process.command[0] for process in made] == ["env"]


def test_every_call_is_told_by_its_kind(tmp_path: Path) -> None:
    source, program = tmp_path / "kinds.c", tmp_path / "kinds"
    source.write_text(
        "#include <stdlib.h>\n#include <malloc.h>\n"
        "int main(void) { void *p = malloc(101), *q = calloc(3, 7); p = realloc(p, 5000); free(realloc(NULL, 9));\n"
        " void *a = aligned_alloc(4096, 8192); void *huge = malloc(1ul << 33); free(huge); free(a); free(NULL);\n"
        " if (realloc(q, 1ul << 62)) return 1; free(p); return malloc_usable_size(q) < 21; }\n"
    )
    subprocess.run(["cc", "-O0", "-fno-builtin", "-w", "-o", program, source], check=True)
    status, (process,) = record([str(program)], tmp_path / "kinds.trace")
    assert status == 0
    with Trace(process.path) as trace:
        trace.check()
        kinds = [(e.kind, e.size, e.alignment) for e in trace.calls() if e.kind != FREE]
        assert (MALLOC, 101, 0) in kinds
        assert (CALLOC, 21, 0) in kinds
        assert (REALLOC, 5000, 0) in kinds
        assert (MALLOC, 9, 0) in kinds
        assert (3, 8192, 12) in kinds
        assert (MALLOC, 1 << 33, 0) in kinds
        assert not any(size == 1 << 62 for _, size, _ in kinds)  # it failed
        assert trace.about.live_bytes == 21


def test_the_order_of_time_is_kept(tmp_path: Path) -> None:
    script = "import time; x = bytearray(70001); time.sleep(0.2); y = bytearray(70003)"
    _, made = record([sys.executable, "-c", script], tmp_path / "t.trace")
    with Trace(made[0].path) as trace:
        sizes: dict[int, TraceCall] = {event.size: event for event in trace.calls()}
        apart = (sizes[70004].ns - sizes[70002].ns) / 1e9
    assert 0.2 <= apart < 2


def test_a_record_that_is_killed_leaves_what_can_be_rescued(allocmark_command: Runner, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "allocmark", "record", "-o", "p.trace", "--", "sleep", "30"]
    running = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
    folder = tmp_path / "p.trace.recording"
    deadline = time.monotonic() + 20
    while not list(folder.glob("[0-9]*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    done = allocmark_command("record", "--rescue", folder)
    assert done.returncode == 0, done.stderr
    assert "sleep 30" in done.stdout
    with Trace(tmp_path / "p.trace") as trace:
        trace.check()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--", "/no/such/program"], "/no/such/program: No such file or directory"),
        ([], "which program?"),
        (["--rescue", "/tmp"], "no folder that `allocmark record` left"),
    ],
)
def test_what_cannot_be_recorded_is_said_in_one_line(
    allocmark_command: Runner, tmp_path: Path, words: list[str], told: str
) -> None:
    assert_refused(allocmark_command("record", "-o", "x.trace", *words), told)
    assert not any(tmp_path.iterdir())


def test_a_trace_is_not_overwritten(allocmark_command: Runner, tmp_path: Path) -> None:
    (tmp_path / "x.trace").write_text("mine")
    assert_refused(allocmark_command("record", "-o", "x.trace", "--", "true"), "exists already")
    assert (tmp_path / "x.trace").read_text() == "mine"


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_git_is_recorded_through_the_command(allocmark_command: Runner) -> None:
    done = allocmark_command("record", "-o", "git.trace", "--", "git", "--version")
    assert done.returncode == 0
    assert "git --version" in done.stdout
