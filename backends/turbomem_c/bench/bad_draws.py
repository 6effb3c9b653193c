# SPDX-License-Identifier: BSD-3-Clause
"""Bad draws: where a process lies in memory can double what a pool costs. How much more than the median does the worst
process in 20 pay?

    python backends/turbomem_c/bench/bad_draws.py [PROCESSES]

Each of a few cells that fit into the cache is measured in 100 fresh processes, in turns with DPDK's ring; about four
minutes, on a quiet machine. Printed is Markdown: the median, and the 95th percentile divided by it. The target is at
most `TARGET`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from dpdk_parts import OURS, RIVAL
from tabulate import tabulate

from allocmark.discovery import discover
from allocmark.errors import AllocmarkError, UsageError
from allocmark.measuring.case_plan import CasePlan
from allocmark.measuring.plan import make_plan
from allocmark.measuring.request import Request
from allocmark.measuring.schedule import CaseRun
from allocmark.output.text.figures import significant
from allocmark.output.text.wording import machine_facts
from allocmark.results.merge import merged
from allocmark.results.summary import summarise_case
from allocmark.stats import median
from allocmark.system import machine

TARGET = 1.1
PROCESSES = Request(backends=[OURS, RIVAL], blocks=8, sample_ms=1.0)
CELLS: Mapping[str, Mapping[str, str]] = {
    "burst": {"bulk": "8,32,128", "keep": "128", "touch": "0", "off_ns": "0", "cores": "1", "cache": "256"},
    "cross_core_free": {"burst": "32", "touch": "0", "hold": "0", "rx": "1", "tx": "1", "cache": "256"},
}


def requests() -> Iterator[Request]:
    for workload, parameters in CELLS.items():
        overrides = {name: values.split(",") for name, values in parameters.items()}
        yield replace(PROCESSES, workloads=[workload], overrides=overrides)


def plans() -> list[tuple[CasePlan, Request]]:
    """Raises UsageError where one of the two cannot run."""
    host = discover()
    found = [(case, request) for request in requests() for case in make_plan(request, host, floor=False).cases]
    for cell in found[0][0].cells:
        if missing := cell.backend.unavailable:
            raise UsageError(f"{cell.backend.label} cannot run here: {missing.reason}: {missing.fix}")
    return found


def percentile(costs: Sequence[float], share: float) -> float:
    """The smallest of them that at least that share of them does not exceed."""
    return sorted(costs)[math.ceil(share * len(costs)) - 1]


def spread(costs: Sequence[float]) -> float:
    """How many times the median the 95th percentile is."""
    return percentile(costs, 0.95) / median(costs)


def row(title: str, label: str, costs: Sequence[float]) -> list[str]:
    if not costs:
        return [title, label, "0", "", "", "", "nothing was measured"]
    worst = max(costs) / median(costs)
    said = "holds" if spread(costs) <= TARGET else "falls short"
    shown = [significant(median(costs)), f"{spread(costs):.2f}", f"{worst:.2f}"]
    return [title, label, str(len(costs)), *shown, said if label == OURS else ""]


def main(processes: int = 100) -> int:
    try:
        cases = plans()
        rounds: list[list] = [[] for _ in cases]
        for number in range(processes):
            for (case, request), records in zip(cases, rounds, strict=True):
                records.append(CaseRun(case, request, number).run(lambda _: None))
            print(f"\r{number + 1} of {processes} processes", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    except AllocmarkError as error:
        print(f"bad_draws: {error}", file=sys.stderr)
        return 2
    print(f"**{machine_facts(machine.facts())}**, {datetime.now(UTC):%Y-%m-%d}\n")
    table = []
    for (case, _), records in zip(cases, rounds, strict=True):
        for cell in summarise_case(merged(records), case.record, None, 1).cells:
            table.append(row(case.record.title, cell.cell.label, [*cell.values.values()]))
    heads = ["cell", "pool", "processes", "ns/object, median", "p95 / median", "worst / median", f"p95 <= {TARGET}"]
    print(tabulate(table, heads, tablefmt="github", disable_numparse=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
