# SPDX-License-Identifier: BSD-3-Clause
"""Builds a benchmark of this folder, runs it, and makes a table of the lines "ROUND NAME FIGURE" that it prints."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from allocmark import stats

HERE = Path(__file__).resolve().parent
FLAGS = ["-std=c++20", "-O3", "-Wall", "-Wextra", "-pthread", f"-I{HERE.parent / 'include'}"]


def collect(name: str, rounds: int, flags: Sequence[str] = ()) -> dict[str, dict[int, float]]:
    """The figures of each name by round. Ends the program when the benchmark fails, which has then said why."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / name
        compiler = os.environ.get("CXX", "g++")
        built = subprocess.run([compiler, *FLAGS, HERE / f"{name}.cpp", "-o", program, *flags])
        done = (
            subprocess.run([program, str(rounds)], stdout=subprocess.PIPE, text=True) if not built.returncode else built
        )
    if done.returncode:
        sys.exit(done.returncode)
    for line in done.stdout.splitlines():
        index, row, figure = line.split()
        found[row][int(index)] = float(figure)
    return found


def table(found: dict[str, dict[int, float]], baseline: str, unit: str) -> str:
    """Medians with 95 % intervals, and ratios to the baseline, paired round by round, with 99 % intervals."""
    rows = []
    for name, values in found.items():
        e = stats.estimate(list(values.values()), 0.95)
        row = [name, f"{e.value:.3g}", f"[{e.low:.3g}, {e.high:.3g}]"]
        if name != baseline and (r := stats.paired_ratio(values, found[baseline])):
            row += [f"{r.value:.3f}", f"[{r.low:.3f}, {r.high:.3f}]"]
        rows.append(row)
    return tabulate(rows, headers=["", unit, "95 %", f"to {baseline}", "99 %"], disable_numparse=True)
