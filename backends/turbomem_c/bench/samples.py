# SPDX-License-Identifier: BSD-3-Clause
"""Builds a benchmark of this folder, starts it once for every round, and makes a table of the lines "ROUND NAME FIGURE"
that it prints.

    python backends/turbomem_c/bench/samples.py NAME [ROUNDS]

``NAME.cpp`` says what is measured. For creating pools: create.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from allocmark import get_include, stats
from allocmark.output.text.figures import figure, interval

HERE = Path(__file__).resolve().parent
TABLE = [f"-I{get_include()}", *map(str, sorted(HERE.parent.glob("src/*.cpp")))]
#: rounds, the side that the others are compared with, flags
BENCHMARKS: dict[str, tuple[int, str, Sequence[str]]] = {
    "keep": (31, "memcpy", TABLE),
    "one_node": (60, "plain", ()),
    "one_way": (31, "queue", ()),
    "per_cpu": (30, "per_thread", ()),
}
FLAGS = ["-std=c++20", "-O3", "-march=native", "-Wall", "-Wextra", "-pthread", f"-I{HERE.parent / 'include'}"]


def collect(name: str, rounds: int, flags: Sequence[str] = ()) -> dict[str, dict[int, float]]:
    """The figures of each name by round. Ends the program when the benchmark fails, which has then said why."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / name
        compiler = os.environ.get("CXX", "g++")
        built = subprocess.run([compiler, *FLAGS, HERE / f"{name}.cpp", "-o", program, *flags])
        if built.returncode:
            sys.exit(built.returncode)
        for number in range(rounds):
            # A process of its own: where it lies in memory decides about its figures.
            done = subprocess.run([program, str(number)], stdout=subprocess.PIPE, text=True)
            if done.returncode:
                sys.exit(done.returncode)
            for line in done.stdout.splitlines():
                index, row, ns = line.split()
                found[row][int(index)] = float(ns)
    return found


def ratio(values: Mapping[int, float], baseline: Mapping[int, float], ratios: int) -> stats.Estimate | None:
    """Values divided by those of the baseline in the same round; ``ratios`` share the error of 1 %."""
    logs = [stats.log_ratio(values[number], baseline[number]) for number in values if number in baseline]
    return stats.final_look(logs, ratios)


def table(found: Mapping[str, Mapping[int, float]], baseline: str, unit: str, ratios: int) -> str:
    """Medians over rounds, and ratios to the baseline; ``ratios`` are in all tables that are printed."""
    rows = []
    for name, values in found.items():
        median = stats.estimate(list(values.values()), stats.MEDIAN_CONFIDENCE)
        compared = ratio(values, found[baseline], ratios) if name != baseline else None
        rows.append([name, figure(median), interval(median), figure(compared), interval(compared)])
    return tabulate(rows, headers=["", unit, "95 %", f"to {baseline}", "99 %"], disable_numparse=True)


def main(name: str, *asked: str) -> None:
    rounds, baseline, flags = BENCHMARKS[name]
    cases: dict[str, dict[str, dict[int, float]]] = defaultdict(dict)
    for row, values in collect(name, int(asked[0]) if asked else rounds, flags).items():
        side, case = row.split("/")
        cases[case][side] = values
    ratios = sum(len(sides) - 1 for sides in cases.values())
    for case, sides in cases.items():
        print(f"\n{case}\n{table(sides, baseline, 'ns/object', ratios)}")


if __name__ == "__main__":
    if not sys.argv[1:] or sys.argv[1] not in BENCHMARKS:
        sys.exit(f"usage: samples.py NAME [ROUNDS]; NAME: {', '.join(BENCHMARKS)}")
    main(*sys.argv[1:])
