# SPDX-License-Identifier: BSD-3-Clause
"""The comparison of any two backends of a run, and of any two runs or commits; ``static/site.js`` makes it.

For each run and each commit the page holds what every cell cost, with 99 % intervals. Two runs are not paired samples,
so the ends of a ratio are the ratios of the far ends of the two intervals, as in `allocmark.stats.unpaired_ratio`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from allocmark import stats
from allocmark.output.html.charts import ends, short
from allocmark.output.html.pages.first_comparison import against_one, first_two
from allocmark.output.html.run_view import CaseView, View
from allocmark.output.text.figures import assignments, plain
from allocmark.results.records import UNIT
from allocmark.results.summary import CellSummary

if TYPE_CHECKING:
    from allocmark.asv.history import History


def comparison_page(view: View | None, sources: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the template shows. ``sources`` are the runs and commits to choose from; fewer than two are none."""
    found = pairs(view) if view else None
    return {
        "pairs": found,
        "first_pairs": against_one(view, found["against"]) if view and found else None,
        "sources": sources if len(sources) > 1 else [],
        "first_sources": first_two(sources, view) if len(sources) > 1 else None,
        # The thresholds of a comparison that is not paired.
        "constants": {
            "margin": stats.UNPAIRED_MARGIN,
            "distance": stats.DISTANCE_TOLERANCE,
            "pace": stats.PACE_TOLERANCE,
        },
    }


def of_run(view: View, when: str = "") -> dict[str, Any]:
    """A run as one side of a comparison. A cell is ``[value, low, high]`` in ns/object, or why it has none."""
    return {
        "title": f"{when}{view.title}",
        "machine": json.dumps(view.run.header.environment.get("machine"), sort_keys=True),
        "cells": {_key(case, cell): _figure(case, cell) for case, cell in view.cells if not cell.cell.floor},
    }


def of_history(history: History) -> list[dict[str, Any]]:
    """Every commit as one side of a comparison, the newest first."""
    cells: list[dict[str, Any]] = [{} for _ in history.commits]
    for series in history.series:
        if series.unit != UNIT:
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
    conditions = case.summary.conditions
    facts: dict[str, Any] = {
        "digest": case.summary.planned.digest,
        "distance": short(conditions.distance_ns),
        "pace": short(conditions.pace_ns),
    }
    if not cell.values:
        return facts | {"why": cell.cell.status if cell.cell.status != "ok" else "not measured"}
    return facts | {"v": ends(stats.estimate(list(cell.values.values()), stats.RATIO_CONFIDENCE))}


def pairs(view: View) -> dict[str, Any]:
    """Every two backends of one run, paired round by round: the first of each pair over the second."""
    labels = view.rivals
    rows = []
    for case in view.cases:
        cells = [cell for label in labels if (cell := case.cell(label)) and cell.values]
        for i, one in enumerate(cells):
            for two in cells[:i]:
                ratio, net = case.summary.ratio(one, two), case.summary.net_ratio(one, two)
                if ratio:
                    pair = [labels.index(one.cell.label), labels.index(two.cell.label)]
                    said = case.summary.verdict(one, two).value
                    rows.append([case.workload, case.title, *pair, ends(ratio), ends(net), said])
    default = view.cases[0].summary.baseline if view.cases else None
    against = default if default in labels else next(iter(labels), None)
    return {"labels": list(labels), "rows": rows, "against": against, "margin": stats.MARGIN}


def choices(views: Iterable[View], history: Iterable[History]) -> list[dict[str, Any]]:
    """Everything that can be compared: runs, the newest first, then commits."""
    return [of_run(view) for view in views] + [source for each in history for source in of_history(each)]
