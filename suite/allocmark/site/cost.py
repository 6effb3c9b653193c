# SPDX-License-Identifier: BSD-3-Clause
"""What objects cost: in each cell, against the baseline, and over a parameter."""

from __future__ import annotations

from collections.abc import Sequence

from allocmark import stats
from allocmark.report.figures import plain, value
from allocmark.run.summary import CellSummary
from allocmark.site.chart import COST, LESS, Chart, ends, extremes, values_of, varying
from allocmark.site.tables import Column, Table, number, percent, said, span, text, unbroken
from allocmark.site.view import Group, View, Workload


def costs(view: View, workload: Workload) -> Chart:
    """What each backend costs in each cell of a workload, gross and net of the floor."""
    rows = [
        {"group": group.title, "label": cell.cell.label, "gross": ends(cell.median), "net": ends(cell.net)}
        for group in workload.groups
        for cell in group.measured
    ]
    table = Table.of(
        f"Cost of {workload.name}, in nanoseconds an object",
        (
            *varying(workload),
            Column("backend"),
            Column("ns/object", True, "median of the blocks, for all that the workload does with an object"),
            Column("95 %", True, "interval of the median"),
            Column("net", True, "less the floor, block by block; ns/object"),
            Column("net 95 %", True, "interval of net"),
            Column("ratio", True, "to the baseline, paired block by block; below 1 is cheaper"),
            Column("99 %", True, "interval of the ratio"),
            Column("net ratio", True, "ratio of what is left above the floor"),
            Column("verdict"),
        ),
        [
            [
                *values_of(workload, group),
                unbroken(view.name(cell.cell.label)),
                number(cell.median),
                span(cell.median),
                number(cell.net),
                span(cell.net),
                number(cell.ratio),
                span(cell.ratio),
                number(cell.net_ratio),
                said(cell.verdict, _outcome(group, cell)),
            ]
            for group in workload.groups
            for cell in group.summary.cells
        ],
    )
    return Chart(
        "forest",
        "Cost of an object",
        COST,
        LESS,
        extremes(
            [(f"{view.name(c.cell.label)} {g.title}".strip(), c.median) for g in workload.groups for c in g.measured],
            COST,
        ),
        {"rows": rows, "modes": ["gross", "net"], "unit": COST},
        table,
        "Dot: the median of the blocks; line: its 95 % interval. Net is less the floor, the same workload on a backend "
        "that costs nothing.",
        tall=True,
    )


def ratios(view: View) -> Chart:
    """Every cell against the baseline of its group, the worst first within a workload."""
    found = [(group, cell) for group, cell in view.cells if cell.ratio]
    found.sort(key=lambda pair: -pair[1].ratio.value if pair[1].ratio else 0.0)
    bases = {group.summary.baseline for group, _ in found}
    base = view.name(next(iter(bases))) if len(bases) == 1 else "the baseline"
    rows = [
        {
            "group": group.workload,
            "label": cell.cell.label,
            "place": group.title,
            "gross": ends(cell.ratio),
            "net": ends(cell.net_ratio),
            "said": cell.verdict.value if cell.verdict else "",
        }
        for workload in view.workloads
        for group, cell in found
        if group.workload == workload.name
    ]
    table = Table.of(
        f"Ratios to {base}, the worst first",
        (
            Column("workload"),
            Column("parameters"),
            Column("backend"),
            Column("baseline"),
            Column("ratio", True, "paired block by block; below 1 is cheaper"),
            Column("99 %", True),
            Column("net ratio", True, "of what is left above the floor"),
            Column("verdict", False, "rests on the interval of the gross ratio"),
        ),
        [
            [
                text(group.workload),
                unbroken(group.title),
                unbroken(view.name(cell.cell.label)),
                unbroken(view.name(group.summary.baseline) if len(bases) > 1 else ""),
                number(cell.ratio),
                span(cell.ratio),
                number(cell.net_ratio),
                said(cell.verdict),
            ]
            for group, cell in found
        ],
    )
    alt = extremes([(f"{view.name(cell.cell.label)} on {group.place}", cell.ratio) for group, cell in found])
    return Chart(
        "forest",
        f"Every cell against {base}",
        f"ratio to {base}",
        "left of 1 is cheaper",
        alt,
        {"rows": rows, "modes": ["gross", "net"], "unit": f"ratio to {base}", "ref": 1,
         "margin": stats.MARGIN},
        table,
        f"Paired block by block, with {percent(stats.RATIO_CONFIDENCE)} intervals; the worst first. The band is the "
        f"{percent(stats.MARGIN)} within which two are called the same.",
    )  # fmt: skip


def parameter(view: View, workload: Workload, key: str) -> Chart | None:
    """Cost over one parameter, a panel for each combination of the others; None when it has a single value."""
    values = [v for v in workload.varying.get(key, ()) if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(values) < 2:
        return None
    others = [other for other in workload.varying if other != key]
    rows = [
        {
            "panel": _assigned(group, others),
            "x": group.summary.planned.parameters[key],
            "label": cell.cell.label,
            "gross": ends(cell.median),
            "net": ends(cell.net),
        }
        for group in workload.groups
        if group.summary.planned.parameters.get(key) in values
        for cell in group.measured
    ]
    alt = f"Cost of an object over {key} = {', '.join(map(value, sorted(values)))}, a line for each backend."
    return Chart(
        "lines",
        f"By {key}",
        f"{COST} over {key}",
        LESS,
        alt,
        {"rows": rows, "modes": ["gross", "net"], "unit": COST, "x": key, "values": sorted(values)},
        None,
        "The numbers are those of the table above.",
    )


def _outcome(group: Group, cell: CellSummary) -> str:
    if cell.cell.label == group.summary.baseline:
        return "baseline"
    if cell.cell.floor and cell.median is not None:
        return "the floor"
    return cell.cell.status if cell.cell.status != "ok" else plain(cell.no_ratio or "")


def _assigned(group: Group, keys: Sequence[str]) -> str:
    parameters = group.summary.planned.parameters
    return " ".join(f"{key}={value(parameters[key])}" for key in keys if key in parameters)
