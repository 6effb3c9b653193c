# SPDX-License-Identifier: BSD-3-Clause
"""Latency of single calls."""

from __future__ import annotations

from typing import Any

from allocmark import stats
from allocmark.output.html.charts import LESS, Chart, parameter_columns, short
from allocmark.output.html.page_tables import Column, Datum, Table, count, unbroken
from allocmark.output.html.run_view import View, WorkloadView
from allocmark.output.text.figures import counted, decimals
from allocmark.passes.latency import BEYOND, CALLS, PERCENTILES


def latency(view: View, workload: WorkloadView) -> Chart | None:
    """Latency of single calls by percentile; None when it was not measured."""
    found = [
        (case, cell, kind, getattr(cell.cell.passes["latency"], kind))
        for case in workload.cases
        for cell in case.measured
        if "latency" in cell.cell.passes
        for kind in CALLS
    ]
    if not found:
        return None
    rows = [
        {
            "panel": f"{kind}  {case.title}".strip(),
            "label": cell.cell.label,
            "values": [*(short(calls.percentiles[which]) for which in PERCENTILES), short(calls.max_ns)],
        }
        for case, cell, kind, calls in found
    ]
    clock = stats.median([cell.cell.passes["latency"].clock_ns for _, cell, *_ in found])
    table = Table.of(
        f"Latency of single calls in {workload.name}, in nanoseconds",
        (
            *parameter_columns(workload),
            Column("backend", lambda _, cell, *__: unbroken(view.name(cell.cell.label))),
            Column("call", lambda *row: row[2]),
            *(_percentile(which) for which in PERCENTILES),
            Column("max", lambda *row: Datum(f"{row[3].max_ns:,.0f}", row[3].max_ns), True),
            Column("calls timed", lambda *row: count(row[3].count), True),
        ),
        found,
        key="call",
    )
    return Chart(
        "percentiles",
        "Latency of single calls",
        "ns per call, by percentile",
        LESS,
        f"Percentiles {', '.join(PERCENTILES)} and the maximum of {counted(len(rows), 'distribution')}.",
        {"rows": rows, "ticks": [*(f"p{which}" for which in PERCENTILES), "max"], "unit": "ns per call"},
        table,
        f"One call gets or puts a whole bulk. Every figure includes {clock:.1f} ns for reading the clock. A percentile "
        f"is shown only where at least {BEYOND} timed calls lie beyond it.",
    )


def _percentile(which: str) -> Column:
    def entry(*row: Any) -> Datum:
        ns = row[3].percentiles[which]
        return Datum("too few", tone="muted") if ns is None else Datum(f"{ns:,.{max(decimals(ns) - 1, 0)}f}", ns)

    return Column(f"p{which}", entry, True, "ns per call, reading the clock included")
