# SPDX-License-Identifier: BSD-3-Clause
"""What the harness itself costs: the engine compared with a hand-written loop, and the start of the commands.

``make bench-harness``. Samples of the two loops alternate. Figures are medians, costs with their interval.
"""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import product

from tabulate import tabulate

from allocmark import stats
from allocmark.engine import null_table
from allocmark.engine.session import Engine
from allocmark.system import machine
from allocmark.workload.language.find import find_workload
from allocmark.workload.tape.compile import compile_workload

SAMPLES = 40
SAMPLE_NS = 10e6
LIMIT = {1: 1.0, 32: 0.1}  # ns per object that the interpreter may cost, by bulk


def interpreter() -> str:
    """A table of burst on the floor, in ns per object: engine, hand-written loop, and their paired difference."""
    template = find_workload("burst")
    cpu = machine.usable_cpus()[0]
    rows = []
    for bulk, keep, touch in product((1, 8, 32, 128), (128, 8192), (0, 64)):
        values = {"bulk": bulk, "keep": keep, "touch": touch, "off_ns": 0, "cores": 1, "cache": 256}
        (case,) = template.cases({key: [str(value)] for key, value in values.items()})
        engine = Engine(null_table(), {}, compile_workload(case.workload, 1), [(cpu, -1)])
        engine.settle()
        bursts = 1
        while engine.sample(bursts).elapsed_ns < SAMPLE_NS:
            bursts *= 2
        ours, theirs = [], []
        for _ in range(SAMPLES):
            ours.append(engine.sample(bursts).ns_per_object)
            theirs.append(engine.reference_burst(bulk, keep, touch, bursts))
        engine.drain()
        engine.close()
        cost = stats.estimate([a - b for a, b in zip(ours, theirs, strict=True)], stats.MEDIAN_CONFIDENCE)
        limit = LIMIT.get(bulk)
        verdict = "" if limit is None else "within" if cost.value <= limit else "above"
        rows.append(
            [
                bulk,
                keep,
                touch,
                f"{stats.median(ours):.3f}",
                f"{stats.median(theirs):.3f}",
                f"{cost.value:+.3f} [{cost.low:+.3f}, {cost.high:+.3f}]",
                f"{limit:.1f}" if limit else "",
                verdict,
            ]
        )
    headers = ["bulk", "keep", "touch", "engine", "by hand", "cost [95 %]", "limit", ""]
    return tabulate(rows, headers, disable_numparse=True)


def start_up() -> str:
    """A table of the wall time of the quick commands."""
    rows = []
    for arguments, limit in (
        (["--version"], 150),
        (["--help"], 150),
        (["list", "backends"], 400),
        (["list", "workloads"], 400),
    ):
        taken = []
        for _ in range(15):
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-m", "allocmark", *arguments], stdout=subprocess.DEVNULL, check=True)
            taken.append(1e3 * (time.perf_counter() - begun))
        middle = stats.median(taken)
        rows.append(
            [" ".join(arguments), f"{middle:.0f}", f"{min(taken):.0f}", limit, "within" if middle <= limit else "above"]
        )
    return tabulate(rows, ["command", "median ms", "fastest", "limit", ""], disable_numparse=True)


if __name__ == "__main__":
    print("Interpreter on the floor, ns per object\n\n" + interpreter() + "\n\nStart of the commands\n\n" + start_up())
