# SPDX-License-Identifier: BSD-3-Clause
"""Builds a benchmark of this folder, runs it, and makes a table of the lines "ROUND NAME FIGURE" that it prints.

    python backends/turbomem_c/bench/samples.py NAME [ROUNDS]

``NAME.cpp`` says what is measured. For creating pools: create.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from allocmark import get_include, stats

HERE = Path(__file__).resolve().parent
TABLE = [f"-I{get_include()}", *map(str, sorted(HERE.parent.glob("src/*.cpp")))]
#: rounds, the side that the others are compared with, flags
BENCHMARKS: dict[str, tuple[int, str, Sequence[str]]] = {
    "keep": (11, "bare", TABLE),
    "one_node": (60, "plain", ()),
    "one_way": (31, "queue", ()),
    "per_cpu": (30, "per_thread", ()),
}
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


def main(name: str, *asked: str) -> None:
    rounds, baseline, flags = BENCHMARKS[name]
    cases: dict[str, dict[str, dict[int, float]]] = defaultdict(dict)
    for row, values in collect(name, int(asked[0]) if asked else rounds, flags).items():
        side, case = row.split("/")
        cases[case][side] = values
    for case, sides in cases.items():
        print(f"\n{case}\n{table(sides, baseline, 'ns/object')}")


if __name__ == "__main__":
    if not sys.argv[1:] or sys.argv[1] not in BENCHMARKS:
        sys.exit(f"usage: samples.py NAME [ROUNDS]; NAME: {', '.join(BENCHMARKS)}")
    main(*sys.argv[1:])
