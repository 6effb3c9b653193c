# SPDX-License-Identifier: BSD-3-Clause
"""Cost against what else is paid: memory, and slow calls."""

from __future__ import annotations

from collections.abc import Callable

from allocmark.output.html.charts import Chart, short
from allocmark.output.html.page_tables import Column, Table, number, unbroken
from allocmark.output.html.run_view import View
from allocmark.output.text.figures import counted, plain
from allocmark.results.memory import resident
from allocmark.results.records import UNIT
from allocmark.results.summary import CellSummary


def cost_and_memory(view: View) -> Chart | None:
    """Cost against resident memory; None when that is not known."""

    def mib(cell: CellSummary) -> float | None:
        found = resident(cell.cell)
        return None if found is None else found / 2**20

    return _scatter(
        view,
        mib,
        "Cost against memory",
        "MiB resident in the process",
        "Resident memory of the whole process after the samples, hugetlb pages included. A pool holds all of its "
        "objects from the beginning, malloc only those in use.",
    )


def cost_and_tail(view: View) -> Chart | None:
    """Cost against the 99.9th percentile of single get calls; None when no latency was measured."""
    return _scatter(
        view,
        lambda cell: (found := cell.cell.passes.get("latency")) and found.get.percentiles["99.9"],
        "Cost against slow calls",
        "ns, p99.9 of a get call",
        "One get call brings a whole bulk.",
    )


def _scatter(
    view: View, figure: Callable[[CellSummary], float | None], title: str, unit: str, note: str
) -> Chart | None:
    """A panel for each workload, and in it a mark for each cell that has a ``figure``."""
    marks = [
        (case, cell, cell.median.value, found)
        for case, cell in view.cells
        if cell.median and not cell.cell.floor and (found := figure(cell)) is not None
    ]
    if not marks:
        return None
    rows = [
        {"panel": case.workload, "place": case.title, "label": cell.cell.label, "x": short(x), "y": short(y)}
        for case, cell, x, y in marks
    ]
    table = Table.of(
        title,
        (
            Column("workload", lambda case, *_: plain(case.workload)),
            Column("parameters", lambda case, *_: unbroken(case.title)),
            Column("backend", lambda _, cell, *__: unbroken(view.name(cell.cell.label))),
            Column(UNIT, lambda *mark: number(mark[2]), True),
            Column(unit, lambda *mark: number(mark[3]), True),
        ),
        marks,
        key="backend",
    )
    return Chart(
        "scatter",
        title,
        f"{unit}, over {UNIT}",
        "lower left is better",
        f"{counted(len(rows), 'mark')}, one per cell: cost to the right, {unit} upwards.",
        {"rows": rows, "x": UNIT, "y": unit},
        table,
        note,
    )
