# SPDX-License-Identifier: BSD-3-Clause
"""What a comparison is made of: for each run and each commit, what every cell cost, with 99 % intervals.

The page pairs any two of them. Two runs are not paired samples, so the ratio's ends are those of the far ends of the
two intervals, as in `allocmark.stats.unpaired_ratio`; ``static/site.js`` does the same arithmetic.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from allocmark import stats
from allocmark.output.html.chart import ends, short
from allocmark.output.html.view import CaseView, View
from allocmark.output.text.figures import assignments, plain
from allocmark.results.summary import CellSummary

if TYPE_CHECKING:
    from allocmark.asv.history import History


def of_run(view: View, title: str | None = None) -> dict[str, Any]:
    """A run as one side of a comparison. A cell is ``[value, low, high]`` in ns/object, or why it has none."""
    header = view.run.header
    return {
        "title": title or plain(f"{header.created[:16].replace('T', ' ')} · {header.id}"),
        "kind": "run",
        "machine": json.dumps(header.environment.get("machine"), sort_keys=True),
        "cells": {_key(case, cell): _figure(case, cell) for case, cell in view.cells if not cell.cell.floor},
    }


def of_history(history: History) -> list[dict[str, Any]]:
    """Every commit as one side of a comparison, the newest first."""
    cells: list[dict[str, Any]] = [{} for _ in history.commits]
    for series in history.series:
        if series.unit != "ns/object":
            continue
        label = f"{series.backend}:{series.variant}"
        key = json.dumps([plain(series.workload), assignments(series.parameters), label])
        for point in series.points:
            low, high = (None, None) if point.low is None or point.high is None else (point.low, point.high)
            figure = [short(point.value), short(low), short(high)]
            cells[point.commit][key] = {"v": figure, "digest": series.version}
    return [
        {
            "title": plain(f"{commit.date[:10]} · {commit.hash[:8]} · {commit.subject}")[:100],
            "kind": "commit",
            "machine": f"asv {history.machine}",
            "cells": found,
        }
        for commit, found in reversed(list(zip(history.commits, cells, strict=True)))
        if found
    ]


def _key(case: CaseView, cell: CellSummary) -> str:
    planned = case.summary.planned
    return json.dumps([plain(planned.workload), assignments(planned.parameters), cell.cell.label])


def _figure(case: CaseView, cell: CellSummary) -> dict[str, Any]:
    facts: dict[str, Any] = {"digest": case.summary.planned.digest, "distance": short(case.summary.distance.ns)}
    if not cell.values:
        return facts | {"why": cell.cell.status if cell.cell.status != "ok" else "not measured"}
    return facts | {"v": ends(stats.estimate(list(cell.values.values()), stats.RATIO_CONFIDENCE))}


def pairs(view: View) -> dict[str, Any]:
    """Every two backends of one run, paired block by block: the first of each pair over the second."""
    labels = view.rivals
    rows = []
    for case in view.cases:
        cells = [cell for label in labels if (cell := case.cell(label)) and cell.values]
        nets = [case.net(cell.cell.label) for cell in cells]
        for i, one in enumerate(cells):
            for j, two in enumerate(cells[:i]):
                ratio = stats.paired_ratio(one.values, two.values)
                net = stats.paired_ratio(nets[i], nets[j])
                if ratio:
                    pair = [labels.index(one.cell.label), labels.index(two.cell.label)]
                    said = stats.verdict(ratio).value
                    rows.append([case.workload, case.title, *pair, ends(ratio), ends(net), said])
    default = view.cases[0].summary.baseline if view.cases else None
    against = default if default in labels else None
    return {"labels": list(labels), "rows": rows, "against": against, "margin": stats.MARGIN}


def constants() -> Mapping[str, float]:
    """The thresholds of a comparison that is not paired."""
    return {"margin": stats.UNPAIRED_MARGIN, "distance": stats.DISTANCE_TOLERANCE}


def choices(views: Sequence[View], history: Sequence[History]) -> list[dict[str, Any]]:
    """Everything that can be compared: runs, the newest first, then commits."""
    return [of_run(view) for view in views] + [source for each in history for source in of_history(each)]
