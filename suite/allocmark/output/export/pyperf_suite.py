# SPDX-License-Identifier: BSD-3-Clause
"""pyperf's JSON (format 1.0): a benchmark per cell, and in it a run per process.

Values are seconds per object, one per process; their median is the cell's median. Cells without figures are left out,
for pyperf refuses a benchmark without values.
"""

from __future__ import annotations

import json
from typing import Any

from allocmark import __version__
from allocmark.errors import UsageError
from allocmark.output.text.wording import cell_name
from allocmark.results.store import Run
from allocmark.results.summary import CellSummary, summarise


def render(run: Run, baseline: str | None = None) -> str:
    """The run as a suite of pyperf. UsageError when no cell has figures, which pyperf refuses."""
    cells = [cell for case in summarise(run, baseline) for cell in case.cells if cell.values]
    if not cells:
        raise UsageError(f"{run.path}: no cell has figures, and pyperf reads no empty suite")
    suite = {"benchmarks": [_benchmark(cell) for cell in cells], "metadata": _machine(run), "version": "1.0"}
    return json.dumps(suite, indent=1, allow_nan=False) + "\n"


def _benchmark(summary: CellSummary) -> dict[str, Any]:
    cell = summary.cell
    about = {"name": cell_name(cell), "backend": cell.backend, "variant": cell.variant, "backend_version": cell.version}
    # pyperf takes no empty text.
    metadata = {key: text for key, text in about.items() if text}
    return {"metadata": metadata, "runs": [{"values": [value * 1e-9]} for value in summary.values.values()]}


def _machine(run: Run) -> dict[str, Any]:
    environment = run.header.environment
    machine = environment.get("machine") or {}
    known = {
        "allocmark_version": __version__,
        "allocmark_run": run.header.id,
        "cpu_model_name": machine.get("cpu"),
        "cpu_count": machine.get("cpus"),
        "platform": environment.get("kernel"),
    }
    return {key: value for key, value in known.items() if value} | {"unit": "second"}
