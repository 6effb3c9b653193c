# SPDX-License-Identifier: BSD-3-Clause
"""Runs the models in ../model through spin, a configuration each: every state that can be reached is visited."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from native_programs import CC, ROOT

MODEL = ROOT / "model"
DEPTH = "-m100000"


class Verdict(NamedTuple):
    """What an exhaustive search found."""

    error: str  #: the violation, "" when there is none
    states: int

    def __str__(self) -> str:
        return f"{self.states:,} states, {self.error or 'no error'}"


def verify(model: str, folder: Path, *defines: str, progress: bool = False, large: bool = False) -> Verdict:
    """Search model/MODEL.pml, compiled with the macros `defines`, for violated assertions and for threads that cannot
    end; with `progress` for cycles, too: threads that go round without anybody getting anywhere.

    A search that was not exhaustive fails the test. `large`: takes less memory and more time."""
    if shutil.which("spin") is None:
        pytest.skip("spin is not installed: apt install spin")
    for source in MODEL.glob("*.pml"):
        shutil.copy(source, folder)

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1500 if large else 240)
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    said = run("spin", *(f"-D{d}" for d in defines), "-a", f"{model}.pml")
    assert "Error" not in said, said
    flags = ["-O1", "-w", "-DVECTORSZ=2048", "-DNP" if progress else "-DSAFETY", *(["-DCOLLAPSE"] if large else [])]
    run(CC, *flags, "pan.c", "-o", "pan")
    out = run("./pan", DEPTH, "-w22", *(["-l"] if progress else []))
    assert "error: max search depth too small" not in out, out
    assert "out of memory" not in out, out
    error = re.search(r"^pan:1: (.+) \(at depth", out, re.M)
    errors, states = re.search(r"errors: (\d+)", out), re.search(r"(\d+) states, stored", out)
    assert errors is not None, out
    assert states is not None, out
    assert (errors[1] != "0") == (error is not None), out
    return Verdict(error[1] if error else "", int(states[1]))
