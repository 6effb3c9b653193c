# SPDX-License-Identifier: BSD-3-Clause
"""What objects cost: in each case, against the baseline, and over a parameter."""

from __future__ import annotations

from dataclasses import replace

from allocmark import stats
from allocmark.output.html.charts import LESS, Chart, ends, extremes, parameter_columns, short
from allocmark.output.html.page_tables import Column, Datum, Table, number, percent, said, span, unbroken
from allocmark.output.html.run_view import CaseView, View, WorkloadView
from allocmark.output.text.figures import assignments, figure, significant, value
from allocmark.output.text.wording import medians_differ, other_group, outcome, tells
from allocmark.results.records import UNIT
from allocmark.results.summary import CellSummary

PAIRED = "cost divided by that of the other in the same round; below 1 is faster"
PAIRED_NOTE = (
    "Each ratio is the median of the ratios within the rounds. In "
    f"{percent(stats.RATIO_CONFIDENCE)} of runs all intervals contain the true ratios. The worst first."
)


def costs(view: View, workload: WorkloadView) -> Chart:
    """What each backend costs in each case of a workload, gross and net of the floor."""
    rows = [
        {
            "case": case.title,
            "label": cell.cell.label,
            "gross": ends(cell.median),
            "net": ends(cell.net),
            "marks": {
                "gross": [*map(short, cell.values.values())],
                "net": [*map(short, cell.nets.values())],
            },
        }
        for case in workload.cases
        for cell in case.measured
    ]
    table = Table.of(
        f"Cost of {workload.name}, in nanoseconds per object",
        (
            *parameter_columns(workload),
            Column("backend", lambda _, cell: unbroken(view.name(cell.cell.label))),
            Column(UNIT, lambda _, c: number(c.median), True, "median of the processes, for all the workload does"),
            Column("95 % interval", lambda _, cell: span(cell.median), True, "of ns/object"),
            Column("processes", lambda _, cell: processes(cell), True, "one in each round; those that cost much more"),
            Column("net", lambda _, cell: number(cell.net), True, "ns/object less that of the floor in the same round"),
            Column("net 95 % interval", _parts, True, "of net, and its two parts"),
            Column("ratio", _ratio, True, "cost divided by that of the baseline in the same round; below 1 is faster"),
            Column("99 % interval", _interval, True, "of the ratio; tells: the smallest difference it shows"),
            Column("net ratio", lambda _, cell: number(cell.net_ratio), True, "ratio of what is left above the floor"),
            Column("verdict", lambda case, cell: said(cell.verdict, outcome(case.summary, cell))),
        ),
        [(case, cell) for case in workload.cases for cell in case.summary.cells],
        key="backend",
    )
    return Chart(
        "forest",
        "Cost of an object",
        UNIT,
        LESS,
        extremes(
            ((f"{view.name(c.cell.label)} {g.title}".strip(), c.median) for g in workload.cases for c in g.measured),
            UNIT,
        ),
        {"rows": rows, "modes": ["gross", "net"], "unit": UNIT},
        table,
        "Small marks: one process each. Large mark: their median. Line: its 95 % interval. Net is the cost less that "
        "of the floor, which is the same workload on a backend that does next to nothing.",
        tall=True,
    )


def processes(cell: CellSummary) -> Datum:
    """How many processes measured a cell, and how many of them cost more or less than most."""
    return Datum(str(len(cell.values)), len(cell.values), note=other_group(cell)) if cell.values else Datum()


def _parts(_: CaseView, cell: CellSummary) -> Datum:
    parts = [f"{name} {figure(part)}" for name, part in (("own work", cell.own), ("placement", cell.placement)) if part]
    return replace(span(cell.net), note=", ".join(parts))


def _interval(_: CaseView, cell: CellSummary) -> Datum:
    told = tells(cell)
    return replace(span(cell.ratio), note=f"tells {told}" if told else "")


def _ratio(case: CaseView, cell: CellSummary) -> Datum:
    quotient = medians_differ(case.summary, cell)
    note = f"the medians give {significant(quotient)}: costs changed between rounds" if quotient else ""
    return number(cell.ratio, note)


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
            Column("workload", lambda case, _: case.workload),
            Column("parameters", lambda case, _: unbroken(case.title)),
            Column("backend", lambda _, cell: unbroken(view.name(cell.cell.label))),
            Column("baseline", lambda case, _: unbroken(view.name(case.summary.baseline) if len(bases) > 1 else "")),
            Column("ratio", lambda _, cell: number(cell.ratio), True, PAIRED),
            Column("99 % interval", lambda _, cell: span(cell.ratio), True, "of the ratio"),
            Column("net ratio", lambda _, cell: number(cell.net_ratio), True, "ratio of what is left above the floor"),
            Column("verdict", lambda _, cell: said(cell.verdict), False, "rests on the interval of the gross ratio"),
        ),
        found,
        key="backend",
    )
    return Chart(
        "forest",
        f"Every cell against {base}",
        f"ratio to {base}",
        "left of 1 is faster",
        extremes((f"{view.name(cell.cell.label)} on {case.place}", cell.ratio) for case, cell in found),
        {"rows": rows, "modes": ["gross", "net"], "unit": f"ratio to {base}", "ref": 1, "margin": stats.MARGIN},
        table,
        f"{PAIRED_NOTE} Within the shaded band, {percent(stats.MARGIN)} around 1, two backends are called the same.",
    )


def over_parameter(view: View, workload: WorkloadView, key: str) -> Chart | None:
    """Cost over one parameter, a panel for each combination of the others; None when it has a single value."""
    values = [v for v in workload.varying.get(key, ()) if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(values) < 2:
        return None
    others = [other for other in workload.varying if other != key]
    rows = [
        {
            "panel": assignments(case.summary.planned.parameters, others),
            "x": case.summary.planned.parameters[key],
            "label": cell.cell.label,
            "gross": ends(cell.median),
            "net": ends(cell.net),
        }
        for case in workload.cases
        if case.summary.planned.parameters.get(key) in values
        for cell in case.measured
    ]
    return Chart(
        "lines",
        f"By {key}",
        f"{UNIT} over {key}",
        LESS,
        f"Cost of an object over {key} = {', '.join(map(value, sorted(values)))}, a line for each backend.",
        {"rows": rows, "modes": ["gross", "net"], "unit": UNIT, "x": key, "values": sorted(values)},
        None,
        "The numbers are in the table above.",
    )
