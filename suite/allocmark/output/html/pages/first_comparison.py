# SPDX-License-Identifier: BSD-3-Clause
"""What the page of comparisons shows before anything is chosen: the tables that ``static/site.js`` replaces.

Who runs no scripts has these alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from allocmark import stats
from allocmark.output.html.page_tables import Column, Table, number, said, span, unbroken
from allocmark.output.html.run_view import View
from allocmark.stats import Estimate, Verdict


def against_one(view: View, base: str | None) -> Table | None:
    """Every backend of a run against ``base``, paired, the worst first; None where nothing is beside it."""
    rows = [
        (case, cell, ratio, case.summary.net_ratio(cell, other), case.summary.verdict(cell, other))
        for case in view.cases
        if (other := case.cell(base))
        for cell in map(case.cell, view.rivals)
        if cell and cell is not other and (ratio := case.summary.ratio(cell, other))
    ]
    table = Table.of(
        f"Ratios to {view.name(base)}, the worst first",
        (
            Column("case", lambda case, *_: unbroken(case.place)),
            Column("backend", lambda _, cell, *__: unbroken(view.name(cell.cell.label))),
            Column("ratio", lambda *row: number(row[2]), True),
            Column("99 % interval", lambda *row: span(row[2]), True),
            Column("verdict", lambda *row: said(row[4])),
            Column("net ratio", lambda *row: number(row[3]), True),
        ),
        sorted(rows, key=lambda row: -row[2].value),
        key="backend",
    )
    return table if rows else None


def first_two(sources: Sequence[Mapping[str, Any]], view: View | None) -> Table | None:
    """The first of the sources, as now, against the second, as before; None where they are not of one machine.

    The names of backends are those of ``view``.
    """
    now, before = sources[:2]
    shared = [key for key in now["cells"] if key in before["cells"]]
    if now["machine"] != before["machine"] or not shared:
        return None
    rows = [(*json.loads(key), before["cells"][key], now["cells"][key]) for key in shared]
    judged = [(*row, *_judge(*row[3:])) for row in rows]
    return Table.of(
        f"{now['title']} against {before['title']}, the worst first",
        (
            Column("case", lambda workload, parameters, *_: unbroken(f"{workload} {parameters}")),
            Column("backend", lambda *row: unbroken(view.name(row[2]) if view else row[2])),
            Column("ratio", lambda *row: number(row[5]), True),
            Column("98 % interval", lambda *row: span(row[5]), True),
            Column("verdict", lambda *row: said(row[6], row[7])),
            Column("before", lambda *row: number(_estimate(row[3])), True),
            Column("now", lambda *row: number(_estimate(row[4])), True),
        ),
        sorted(judged, key=lambda row: -(row[5].value if row[5] else 0.0)),
        key="backend",
    )


def _judge(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Estimate | None, Verdict | None, str]:
    """The ratio with its verdict, or why there is none."""
    for when, cell in (("before", before), ("now", now)):
        if "v" not in cell:
            return None, None, f"cannot tell: {cell['why']} {when}"
    if before["digest"] != now["digest"]:
        return None, None, "cannot tell: the workload changed"
    if not stats.near(before.get("distance"), now.get("distance")):
        return None, None, "cannot tell: distance changed"
    if not stats.same_pace(before.get("pace"), now.get("pace")):
        return None, None, "cannot tell: CPU speed changed"
    old, new = _estimate(before), _estimate(now)
    ratio = stats.unpaired_ratio(new, old) if new and old else None
    return ratio, stats.verdict(ratio, stats.UNPAIRED_MARGIN), ""


def _estimate(cell: Mapping[str, Any]) -> Estimate | None:
    if "v" not in cell:
        return None
    value, low, high = cell["v"]
    covered = low is not None and high is not None
    return Estimate(value, low if covered else value, high if covered else value, 2, covered)
