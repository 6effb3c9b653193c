# SPDX-License-Identifier: BSD-3-Clause
"""`allocmark run --under`: one process, under a tool that has the terminal."""

from __future__ import annotations

import shutil

import pytest
from support import assert_refused, setting

from allocmark.system.loading import find_library

CELL = ["burst", "--short", *setting(bulk=8, keep=128, **{"pools.mbuf.objects": 2000})]


def test_the_tool_gets_the_process_and_its_output_is_shown(allocmark_command, mutants, tmp_path):
    tool = tmp_path / "my tool"
    tool.write_text('#!/bin/sh\necho "told: $1"; shift\ntest -t 0 || echo no terminal\n"$@"\necho "it ended: $?"\n')
    tool.chmod(0o755)
    under = ["--under", f"'{tool}' hello"]
    done = allocmark_command("run", *CELL, "-b", "mutant:none", "--verify", *under, plugins=[mutants])
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "told: hello"
    assert lines[-2] == "it ended: 0"
    assert lines[-1].startswith("burst bulk=8 keep=128")
    assert "mutant:none: its process ended well" in lines[-1]
    assert not (tmp_path / "runs").exists()


def test_a_crash_is_exit_status_1(allocmark_command, mutants):
    done = allocmark_command("run", *CELL, "-b", "mutant:crash", "--under", "env A=1", plugins=[mutants])
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("allocmark: mutant:crash: killed by SIGSEGV during ")


@pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is not installed: apt install gdb")
def test_a_debugger_shows_the_call(allocmark_command, mutants):
    under = ["--under", "gdb -batch -nx -iex 'set debuginfod enabled off' -ex run -ex backtrace --args"]
    done = allocmark_command("run", *CELL, "-b", "mutant:crash", *under, plugins=[mutants])
    assert "received signal SIGSEGV" in done.stdout, done.stdout + done.stderr
    assert "get_bulk" in done.stdout
    assert done.returncode == 1


@pytest.mark.long
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed: apt install valgrind")
def test_valgrind_has_all_the_time_it_needs(allocmark_command):
    """A library that was not compiled for the processor at hand: valgrind does not know all instructions."""
    libc = find_library("libc.so.6")
    done = allocmark_command("run", *CELL, "-b", f"so:{libc}", "--verify", "--under", "valgrind --tool=none")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*CELL, "--under", "env"], ["cases: 1, backends: ", "choose", "-b"]),
        (["burst", "--short", "-b", "null", "--under", "env"], ["cases: 4, backends: 1", "--set"]),
        ([*CELL, "-b", "null", "--under", "no-such-tool --args"], ["--under no-such-tool --args: no such command"]),
        ([*CELL, "-b", "null", "--under", "'"], ["--under '", "quotation"]),
        ([*CELL, "-b", "null", "--under", "env", "--dry-run", "-o", "x"], ["leave --output and --dry-run out"]),
    ],
)
def test_what_is_not_one_process_is_refused(allocmark_command, arguments, words):
    assert_refused(allocmark_command("run", *arguments), *words)
