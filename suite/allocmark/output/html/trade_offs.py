# SPDX-License-Identifier: BSD-3-Clause
"""Time against what else is paid: memory, and the tail."""

from __future__ import annotations

from allocmark.output.html.chart import COST, Chart, short
from allocmark.output.html.latency_chart import percentile
from allocmark.output.html.view import View, resident
from allocmark.output.text.figures import counted


def time_and_memory(view: View) -> Chart | None:
    """Time against memory: a panel for each workload, a mark for each backend and cell."""
    rows = [
        {
            "panel": case.workload,
            "place": case.title,
            "label": cell.cell.label,
            "x": short(cell.median.value),
            "y": short(found / 2**20),
        }
        for case, cell in view.cells
        if cell.median and not cell.cell.floor and (found := resident(cell.cell)) is not None
    ]
    if not rows:
        return None
    return Chart(
        "scatter",
        "Time against memory",
        "MiB resident in the process over ns/object",
        "lower left is better",
        f"{counted(len(rows), 'mark')}, one a backend and cell: cost across, resident memory upwards.",
        {"rows": rows, "x": COST, "y": "MiB resident"},
        None,
        "Resident bytes of the whole process after the samples, hugetlb pages included. A pool holds all of its "
        "objects from the beginning, malloc only those in use. The numbers are in the tables of each workload.",
    )


def time_and_tail(view: View) -> Chart | None:
    """Time against the tail: the 99.9th percentile of single get calls; None when no latency was measured."""
    rows = []
    for case, cell in view.cells:
        tail = percentile(cell, "get", "99.9")
        if cell.median and not cell.cell.floor and tail:
            row = {"panel": case.workload, "place": case.title, "label": cell.cell.label}
            rows.append(row | {"x": short(cell.median.value), "y": short(tail)})
    if not rows:
        return None
    return Chart(
        "scatter",
        "Time against tail",
        "p99.9 of a get call in ns over ns/object",
        "lower left is better",
        f"{counted(len(rows), 'mark')}, one a backend and cell: cost across, 99.9th percentile of a get call upwards.",
        {"rows": rows, "x": COST, "y": "ns, p99.9 of a get call"},
        None,
        "A get call brings a whole bulk. The percentiles are in the tables of each workload.",
    )
