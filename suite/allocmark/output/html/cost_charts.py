# SPDX-License-Identifier: BSD-3-Clause
"""What objects cost: in each cell, against the baseline, and over a parameter."""

from __future__ import annotations

from collections.abc import Sequence

from allocmark import stats
from allocmark.output.html.chart import COST, LESS, Chart, ends, extremes, values_of, varying
from allocmark.output.html.page_tables import Column, Table, number, percent, said, span, text, unbroken
from allocmark.output.html.view import CaseView, View, WorkloadView
from allocmark.output.text.figures import plain, value
from allocmark.results.summary import CellSummary


def costs(view: View, workload: WorkloadView) -> Chart:
    """What each backend costs in each cell of a workload, gross and net of the floor."""
    rows = [
        {"case": case.title, "label": cell.cell.label, "gross": ends(cell.median), "net": ends(cell.net)}
        for case in workload.cases
        for cell in case.measured
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
                *values_of(workload, case),
                unbroken(view.name(cell.cell.label)),
                number(cell.median),
                span(cell.median),
                number(cell.net),
                span(cell.net),
                number(cell.ratio),
                span(cell.ratio),
                number(cell.net_ratio),
                said(cell.verdict, _outcome(case, cell)),
            ]
            for case in workload.cases
            for cell in case.summary.cells
        ],
    )
    return Chart(
        "forest",
        "Cost of an object",
        COST,
        LESS,
        extremes(
            [(f"{view.name(c.cell.label)} {g.title}".strip(), c.median) for g in workload.cases for c in g.measured],
            COST,
        ),
        {"rows": rows, "modes": ["gross", "net"], "unit": COST},
        table,
        "Dot: the median of the blocks; line: its 95 % interval. Net is less the floor, the same workload on a backend "
        "that costs nothing.",
        tall=True,
    )


def ratios(view: View) -> Chart:
    """Every cell against the baseline of its case, the worst first within a workload."""
    found = [(case, cell) for case, cell in view.cells if cell.ratio]
    found.sort(key=lambda pair: -pair[1].ratio.value if pair[1].ratio else 0.0)
    bases = {case.summary.baseline for case, _ in found}
    base = view.name(next(iter(bases))) if len(bases) == 1 else "the baseline"
    rows = [
        {
            "case": case.workload,
            "label": cell.cell.label,
            "place": case.title,
            "gross": ends(cell.ratio),
            "net": ends(cell.net_ratio),
            "said": cell.verdict.value if cell.verdict else "",
        }
        for workload in view.workloads
        for case, cell in found
        if case.workload == workload.name
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
                text(case.workload),
                unbroken(case.title),
                unbroken(view.name(cell.cell.label)),
                unbroken(view.name(case.summary.baseline) if len(bases) > 1 else ""),
                number(cell.ratio),
                span(cell.ratio),
                number(cell.net_ratio),
                said(cell.verdict),
            ]
            for case, cell in found
        ],
    )
    alt = extremes([(f"{view.name(cell.cell.label)} on {case.place}", cell.ratio) for case, cell in found])
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


def parameter(view: View, workload: WorkloadView, key: str) -> Chart | None:
    """Cost over one parameter, a panel for each combination of the others; None when it has a single value."""
    values = [v for v in workload.varying.get(key, ()) if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(values) < 2:
        return None
    others = [other for other in workload.varying if other != key]
    rows = [
        {
            "panel": _assigned(case, others),
            "x": case.summary.planned.parameters[key],
            "label": cell.cell.label,
            "gross": ends(cell.median),
            "net": ends(cell.net),
        }
        for case in workload.cases
        if case.summary.planned.parameters.get(key) in values
        for cell in case.measured
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


def _outcome(case: CaseView, cell: CellSummary) -> str:
    if cell.cell.label == case.summary.baseline:
        return "baseline"
    if cell.cell.floor and cell.median is not None:
        return "the floor"
    return cell.cell.status if cell.cell.status != "ok" else plain(cell.no_ratio or "")


def _assigned(case: CaseView, keys: Sequence[str]) -> str:
    parameters = case.summary.planned.parameters
    return " ".join(f"{key}={value(parameters[key])}" for key in keys if key in parameters)
