# SPDX-License-Identifier: BSD-3-Clause
"""What an exchange of magazines costs by the number of cores: a model, and `scaling.cpp`, which runs the library's code
on simulated cores and counts.

    python backends/turbomem_c/model/scaling.py [EXCHANGES]

Prints the tables of README.md. ``EXCHANGES`` of each core are simulated for each figure, 400 without it: two minutes.
Nothing is timed: the figures are the same in every run, on a busy machine too.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

HERE = Path(__file__).resolve().parent
FLAGS = ["-std=c++20", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{HERE.parent / 'include'}"]
CORES = (1, 2, 4, 8, 16, 32, 64, 128)
#: time that a core spends outside between two exchanges, in times that it takes to bring a line from another core
OUTSIDE = (0, 4, 64)
PATTERNS = {
    "own": "each puts what it got",
    "pairs": "one of two cores gets, the other puts",
    "one-gets": "one core gets, all others put",
    "one-puts": "all but one get, that one puts",
    "one-head": "as own, all through one head, as a depot without shards",
}


class Figures(NamedTuple):
    """Per exchange: compare-and-swaps tried, heads changed, and lines brought from another core. ``outside`` is the
    share of the time that cores spent there, ``rate`` exchanges of all cores in a unit of time."""

    tries: float
    changed: float
    brought: float
    outside: float
    rate: float


def build(folder: Path) -> Path:
    program = folder / "scaling"
    subprocess.run([os.environ.get("CXX", "g++"), *FLAGS, HERE / "scaling.cpp", "-o", program], check=True)
    return program


def simulate(program: Path, pattern: str, cores: int, outside: float, exchanges: int) -> Figures:
    command = [program, pattern, str(cores), str(outside), str(exchanges)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
    return Figures(*map(float, said.split()))


def model(cores: int, outside: float) -> float:
    """Compare-and-swaps tried per exchange by ``cores`` that share one head.

    Cores come from outside one by one and queue at the head's line, which goes to one after the other: once to read
    the head, once for each try. Of j that are there, each success makes the others' values stale: each fails once for
    half of those who are before it (all of them if the line went round in a strict order, fewer if at random), so an
    exchange takes (j + 1) / 2 tries. How many are there is a birth-and-death process.
    """
    if outside == 0:
        return (cores + 1) / 2
    logs = [0.0]  # of how likely it is that so many are there
    for there in range(1, cores + 1):
        logs.append(logs[-1] + math.log((cores - there + 1) / outside * _interval(there, cores)))
    ends = [math.exp(logs[j] - max(logs)) / _interval(j, cores) for j in range(1, cores + 1)]
    return sum(end * (j + 1) / 2 for j, end in enumerate(ends, 1)) / sum(ends)


def _interval(there: int, cores: int) -> float:
    """Time from one exchange to the next with so many cores at the head."""
    if there == 1:  # head and header from another core, if there are others
        return 0.1 + 3 * (cores - 1) / cores
    return 1 + (there + 1) / 2


def main(exchanges: int = 400) -> None:
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        for outside in OUTSIDE:
            rows = []
            for cores in CORES:
                row: list[str] = [str(cores)]
                for pattern in PATTERNS:
                    if cores == 1 and pattern not in ("own", "one-head"):
                        row.append("")
                        continue
                    found = simulate(program, pattern, cores, outside, exchanges)
                    row.append(f"{found.tries:.2f} / {found.brought:.2f}")
                rows.append([*row, f"{model(cores, outside):.2f}"])
            print(f"\nOutside {outside}: tries / lines brought, per exchange\n")
            print(tabulate(rows, ["cores", *PATTERNS, "one-head, model"], tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
