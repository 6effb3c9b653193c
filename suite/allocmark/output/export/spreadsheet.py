# SPDX-License-Identifier: BSD-3-Clause
"""CSV (RFC 4180, with a header): a row for each cell, figures in full precision, an empty field for what is not there.

Each parameter of any workload has a column ``param:NAME``; measurement passes bring columns of their own. Raw samples
are in the JSON export.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from allocmark.errors import printable
from allocmark.passes import registry
from allocmark.results.records import MeasuredCell
from allocmark.results.store import Run
from allocmark.results.summary import document

_PLAIN = (
    *("backend", "variant", "version", "floor", "status", "reason", "unit", "median", "ci95", "net_median"),
    *("net_ci95", "own_work", "own_work_ci95", "placement_cost", "placement_cost_ci95", "baseline", "ratio"),
    *("ratio_ci99", "net_ratio", "net_ratio_ci99", "smallest_difference", "verdict", "no_ratio", "no_verdict"),
    *("objects", "rounds", "used", "set_aside"),
)


def render(run: Run, baseline: str | None = None) -> str:
    """The run's cells as CSV text. Raises UsageError for an unknown baseline."""
    whole = document(run, baseline)
    digests = {case["case"]: case["digest"] for case in whole["cases"]}
    names = list(dict.fromkeys(name for cell in whole["cells"] for name in cell["parameters"]))
    rows = []
    for cell, measured in zip(whole["cells"], (cell for case in run.cases for cell in case.cells), strict=True):
        first = {
            "run": whole["id"],
            "created": whole["created"],
            "workload": cell["workload"],
            "digest": digests[cell["case"]],
        }
        first = {name: printable(text) for name, text in first.items()}
        parameters = {printable(f"param:{name}"): _field(cell["parameters"].get(name)) for name in names}
        rows.append(first | parameters | _figures(cell) | _of_passes(measured))
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0] if rows else ["run"])
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _figures(cell: Mapping[str, Any]) -> dict[str, Any]:
    row = {}
    for name in _PLAIN:
        if "ci9" in name:
            row[f"{name}_low"], row[f"{name}_high"] = cell[name] or (None, None)
        else:
            row[name] = _field(cell[name])
    return row


def _of_passes(cell: MeasuredCell) -> dict[str, float | None]:
    return {
        column.csv: column.value(cell.passes[each.name]) if each.name in cell.passes else None
        for each in registry.PASSES
        for column in each.columns
        if column.csv
    }


def _field(value: Any) -> Any:
    """Text without control characters other than ends of lines; anything else as JSON. None is an empty field."""
    if isinstance(value, str):
        return "\n".join(map(printable, value.split("\n")))
    return value if value is None else json.dumps(value)
