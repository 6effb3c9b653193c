# SPDX-License-Identifier: BSD-3-Clause
"""A program that knows what it holds, and traces of it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from allocmark.traces.recording import Process, record
from allocmark.traces.trace_file import Trace

Recorder = Callable[..., tuple[int, list[Process], list[int]]]


@pytest.fixture(scope="session")
def many_threads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("program") / "many_threads"
    source = Path(__file__).parent / "many_threads.c"
    subprocess.run(["cc", "-O1", "-Wall", "-fno-builtin", "-pthread", "-o", program, source], check=True)
    return program


@pytest.fixture
def recorded(many_threads: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Recorder:
    """Records it: its exit status, its processes, and what it said that it held."""

    def run(*words: object) -> tuple[int, list[Process], list[int]]:
        capfd.readouterr()
        status, made = record([str(many_threads), *map(str, words)], tmp_path / "program.trace")
        return status, made, [int(line) for line in capfd.readouterr().out.split()]

    return run


@pytest.fixture
def trace(recorded: Recorder) -> Trace:
    _, made, _ = recorded(4, 500)
    found = Trace(made[0].path)
    found.check()
    return found


@pytest.fixture
def trace_of(tmp_path: Path) -> Callable[[str], Path]:
    """Compiles a program in C and records it: the trace."""

    def run(source: str) -> Path:
        (tmp_path / "known.c").write_text(source)
        program = tmp_path / "known"
        subprocess.run(["cc", "-O1", "-fno-builtin", "-w", "-o", program, f"{program}.c"], check=True)
        record([str(program)], tmp_path / "known.trace")
        return tmp_path / "known.trace"

    return run
