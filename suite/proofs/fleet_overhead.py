# SPDX-License-Identifier: BSD-3-Clause
"""What a large fleet costs at home: many workers that do nothing, and many cases.

Scheduler, workers and the campaign share this process, so its time and memory are those of all three together. The
machines answer at once with a run file of two rounds; nothing is measured.
"""

from __future__ import annotations

import argparse
import base64
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from allocmark.fleet import duty
from allocmark.fleet.campaign import Campaign
from allocmark.fleet.folder import FleetFolder, new_fleet
from allocmark.fleet.link import Link
from allocmark.measuring.request import Request
from allocmark.results.records import (
    Block,
    End,
    MeasuredCase,
    MeasuredCell,
    PlannedCase,
    PlannedCell,
    RunHeader,
    encode,
)

CELLS = (PlannedCell("null", "default", True), PlannedCell("a", "default", False), PlannedCell("b", "default", False))
ROUNDS = 2


def planned(number: int) -> PlannedCase:
    """A case like any other."""
    return PlannedCase(0, "burst", "0" * 16, {"bulk": number}, 1, CELLS)


def run_of(case: PlannedCase) -> bytes:
    """Its run file."""
    header = RunHeader(
        "0" * 12, "2026-01-01T00:00:00+00:00", [], 1, None, {}, Request(blocks=1, rounds=ROUNDS).to_json(), (case,)
    )
    lines = [encode("run", header)]
    for number in range(ROUNDS):
        for cell in CELLS:
            members = {**vars(cell), "case": 0, "workload": case.workload, "parameters": case.parameters}
            samples = {"samples": [1.0 + number], "blocks": [0], "objects": 1}
            lines.append(encode("cell", MeasuredCell(**members, version="1", status="ok", **samples)))
        lines.append(encode("case", MeasuredCase(0, (), (Block(None, False, number),), 1.0, 1.0, number)))
    lines.append(encode("end", End(2.0, 2.0, False, ROUNDS)))
    return b"".join(lines)


def work(asked: Mapping[str, Any]) -> dict[str, Any]:
    """A machine that takes no time."""
    if asked["do"] == "describe":
        machine = {"cpu": "none", "cpus": 1}
        return {"versions": duty.versions(), "machine": machine, "plan": "all alike", "left_out": []}
    if asked["do"] == "cases":
        cases = [planned(number) for number in range(asked["request"]["seed"])]
        return {"cases": [msgspec.to_builtins(case) for case in cases], "seconds": [60.0] * len(cases)}
    return {"run": base64.b85encode(run_of(planned(int(asked["title"].partition("=")[2])))).decode()}


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1000, metavar="N")
    parser.add_argument("--cases", type=int, default=10_000, metavar="N")
    options = parser.parse_args()
    from distributed import LocalCluster

    before = _peak()
    begun = time.monotonic()
    cluster = LocalCluster(
        n_workers=options.workers, threads_per_worker=1, processes=False, dashboard_address=None, memory_limit=0
    )
    with (
        cluster,
        tempfile.TemporaryDirectory(prefix="allocmark-") as name,
        Link(cluster.scheduler_address, work) as link,
    ):
        print(
            f"{options.workers} workers are there after {time.monotonic() - begun:.0f} s, with {_peak() - before} MiB"
        )
        folder = FleetFolder(Path(name))
        begun = time.monotonic()
        fleet = new_fleet([], Request(seed=options.cases), None, False)
        done = Campaign(link, folder, lambda text: print(text, file=sys.stderr), lambda _: None).run(fleet)
        seconds = time.monotonic() - begun
        home = len(list(folder.path.glob("*/*/run.jsonl")))
    print(f"{home} of {options.cases} cases are home, {len(done.given_up)} were given up")
    print(f"{1e3 * seconds / options.cases:.2f} ms per case, {seconds:.0f} s in all; at most {_peak()} MiB here")
    return 0 if home == options.cases else 1


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


if __name__ == "__main__":
    sys.exit(main())
