# SPDX-License-Identifier: BSD-3-Clause
"""Latency of single calls."""

from __future__ import annotations

from allocmark import stats
from allocmark.output.html.chart import LESS, Chart, short, values_of, varying
from allocmark.output.html.page_tables import Column, Datum, Table, count, text, unbroken
from allocmark.output.html.view import View, WorkloadView
from allocmark.output.text.figures import counted, decimals
from allocmark.results.summary import CellSummary

PERCENTILES = ("50", "99", "99.9", "99.99")


def percentile(cell: CellSummary, call: str, which: str) -> float | None:
    """A percentile of single calls ("get" or "put") in ns; None where it was not measured or calls are too few."""
    if "latency" not in cell.cell.passes:
        return None
    found: float | None = getattr(cell.cell.passes["latency"], call).percentiles.get(which)
    return found


def latency(view: View, workload: WorkloadView) -> Chart | None:
    """Latency of single calls by percentile; None when it was not measured."""
    cells = [(case, cell) for case in workload.cases for cell in case.measured]
    found = [(case, cell, each) for case, cell in cells if (each := cell.cell.passes.get("latency"))]
    if not found:
        return None
    rows, entries = [], []
    for case, cell, measured in found:
        for call in ("get", "put"):
            calls = getattr(measured, call)
            values = [calls.percentiles.get(which) for which in PERCENTILES]
            rows.append(
                {
                    "panel": f"{call}  {case.title}".strip(),
                    "label": cell.cell.label,
                    "values": [*map(short, values), short(calls.max_ns)],
                }
            )
            entries.append(
                [
                    *values_of(workload, case),
                    unbroken(view.name(cell.cell.label)),
                    text(call),
                    *(_tail(v) for v in values),
                    Datum(f"{calls.max_ns:,.0f}", calls.max_ns),
                    count(calls.count),
                ]
            )
    clock = stats.median([measured.clock_ns for *_, measured in found])
    table = Table.of(
        f"Latency of single calls in {workload.name}, in nanoseconds",
        (
            *varying(workload),
            Column("backend"),
            Column("call"),
            *(Column(f"p{which}", True, "ns a call, the clock's own cost included") for which in PERCENTILES),
            Column("max", True),
            Column("calls timed", True),
        ),
        entries,
    )
    return Chart(
        "percentiles",
        "Latency of single calls",
        "ns a call, by percentile",
        LESS,
        f"Percentiles 50, 99, 99.9, 99.99 and the maximum of {counted(len(rows), 'distribution')}.",
        {"rows": rows, "ticks": [*(f"p{which}" for which in PERCENTILES), "max"], "unit": "ns a call"},
        table,
        f"A call moves a whole bulk. Reading the clock costs {clock:.1f} ns, which is in every figure. A percentile is "
        "given when at least 10 calls lie beyond it.",
    )


def _tail(ns: float | None) -> Datum:
    return Datum("too few", tone="muted") if ns is None else Datum(f"{ns:,.{max(decimals(ns) - 1, 0)}f}", ns)
