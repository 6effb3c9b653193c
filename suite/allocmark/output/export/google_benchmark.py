# SPDX-License-Identifier: BSD-3-Clause
"""Google Benchmark's JSON (schema 1): a benchmark per cell, a repetition per process, and the median as an aggregate.

``real_time`` is nanoseconds per object, by the wall clock. Tools of that library want ``cpu_time`` as well: it is a
copy of ``real_time``. A cell without figures is a benchmark with an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from allocmark import __version__
from allocmark.output.text.wording import cell_name
from allocmark.results.store import Run
from allocmark.results.summary import CaseSummary, CellSummary, summarise


def render(run: Run, baseline: str | None = None) -> str:
    """The run as a report of Google Benchmark."""
    cases = summarise(run, baseline)
    rows = [row for case in cases for number, cell in enumerate(case.cells) for row in _rows(case, number, cell)]
    return json.dumps({"context": _context(run), "benchmarks": rows}, indent=1, allow_nan=False) + "\n"


def _rows(case: CaseSummary, number: int, summary: CellSummary) -> Iterator[dict[str, Any]]:
    cell = summary.cell
    name = cell_name(cell)
    common: dict[str, Any] = {
        "name": name, "family_index": case.planned.case, "per_family_instance_index": number,
        "run_name": name, "run_type": "iteration", "repetitions": len(summary.values) or 1,
        "repetition_index": 0, "threads": case.planned.actors, "iterations": cell.objects,
        "real_time": 0.0, "cpu_time": 0.0, "time_unit": "ns",
    }  # fmt: skip
    if summary.median is None:
        yield common | {"error_occurred": True, "error_message": summary.no_ratio or cell.status}
        return
    for index, value in enumerate(summary.values.values()):
        yield common | {"repetition_index": index, "real_time": value, "cpu_time": value}
    middle = summary.median.value
    del common["repetition_index"]
    yield common | {
        "name": f"{name}_median", "run_type": "aggregate", "aggregate_name": "median", "aggregate_unit": "time",
        "iterations": len(summary.values), "real_time": middle, "cpu_time": middle,
    }  # fmt: skip


def _context(run: Run) -> dict[str, Any]:
    machine = run.header.environment.get("machine") or {}
    return {
        "date": run.header.created,
        "host_name": str(machine.get("host", "")),
        "executable": "allocmark",
        "num_cpus": machine.get("cpus") or 0,
        "mhz_per_cpu": 0,
        "cpu_scaling_enabled": False,
        "caches": [],
        "load_avg": [],
        "library_build_type": "release",
        "library_version": __version__,
        "json_schema_version": 1,
        "allocmark.run": run.header.id,
        "allocmark.cpu": str(machine.get("cpu", "")),
        "allocmark.cpu_time": "a copy of real_time",
    }
