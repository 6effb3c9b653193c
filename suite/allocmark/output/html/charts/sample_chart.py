# SPDX-License-Identifier: BSD-3-Clause
"""What the figures rest on: every sample as a chart, and the facts of every cell as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from allocmark import stats
from allocmark.output.html.charts import LESS, Chart, parameter_columns, short
from allocmark.output.html.page_tables import Column, Datum, Table, count, number, unbroken
from allocmark.output.html.run_view import CaseView, View, WorkloadView
from allocmark.output.text.figures import counted, plain
from allocmark.results.records import UNIT
from allocmark.results.summary import CellSummary


def samples(view: View, workload: WorkloadView) -> Chart:
    """Every sample in the order of time, a panel for each case; those disturbed or not used are marked."""
    rows = []
    for case in workload.cases:
        kept = case.summary.conditions.kept
        for cell in (cell.cell for cell in case.summary.cells if cell.cell.samples):
            marks = [
                2 if block not in kept else 1 if index in cell.disturbed else 0
                for index, block in enumerate(cell.blocks)
            ]
            ys = [short(sample) for sample in cell.samples]
            row = {"panel": case.title, "label": cell.label, "x": list(cell.blocks), "y": ys}
            rows.append(row | {"m": "".join(map(str, marks))})
    taken = sum(len(row["y"]) for row in rows)
    table = Table.of(
        f"The samples of {workload.name}, in nanoseconds per object",
        (
            *parameter_columns(workload),
            Column("backend", lambda _, cell: unbroken(view.name(cell.label))),
            Column("samples", lambda _, cell: count(len(cell.samples)), True),
            Column("lowest", lambda _, cell: number(min(cell.samples)), True),
            Column("median", lambda _, cell: number(stats.median(cell.samples)), True, "those not used as well"),
            Column("highest", lambda _, cell: number(max(cell.samples)), True),
        ),
        [(case, cell.cell) for case in workload.cases for cell in case.summary.cells if cell.cell.samples],
        key="backend",
    )
    return Chart(
        "samples",
        "Every sample",
        f"{UNIT} over block",
        LESS,
        f"{counted(taken, 'sample')} in the order in which they were taken.",
        {"rows": rows, "unit": UNIT},
        table,
        "Filled: used. Hollow: disturbed (an actor had no CPU for more than 1 % of it, or the hypervisor took time); "
        "used. "
        "Crossed: not used, as CPUs were not as far apart or as fast as usual.",
    )


def cell_facts(view: View, workload: WorkloadView) -> Table:
    """What each figure rests on."""

    def of_used(figure: str) -> Callable[..., Datum]:
        return lambda _, cell: count(getattr(cell, figure)) if cell.values else Datum()

    return Table.of(
        f"What the figures of {workload.name} rest on",
        (
            *parameter_columns(workload),
            Column("backend", lambda _, cell: unbroken(view.name(cell.cell.label))),
            Column("version", lambda _, cell: plain(cell.cell.version)),
            Column("rounds used", lambda _, cell: count(len(cell.values) or None), True, "a process each"),
            Column("blocks used", lambda _, cell: count(len(cell.blocks) or None), True),
            Column("disturbed", of_used("disturbed"), True, "samples in which an actor had no CPU for more than 1 % "
                   "of the time or the hypervisor took time; they are used"),
            Column("not used", of_used("set_aside"), True, "samples in blocks in which CPUs were not as far "
                   "apart or as fast as usual"),
            Column("objects per sample", lambda _, cell: count(cell.cell.objects or None), True),
            Column("core to core, ns", _distance, True, "a cache line there and back, median of the blocks used"),
            Column("CPUs", _cpus, False, "one per actor"),
            Column("failed gets", lambda _, cell: count(cell.cell.attestation.get("failed_gets")), True),
            Column("set-up s", lambda _, c: Datum(f"{c.cell.setup_seconds:.2f}", c.cell.setup_seconds), True),
            Column("state", lambda _, c: Datum(c.cell.status, tone="" if c.cell.status == "ok" else "bad")),
            Column("remarks", lambda _, cell: _remarks(cell)),
        ),
        [(case, cell) for case in workload.cases for cell in case.summary.cells],
        key="backend",
    )  # fmt: skip


def _distance(case: CaseView, _: CellSummary) -> Datum:
    ns = case.summary.conditions.distance_ns
    return Datum() if ns is None else Datum(f"{ns:.0f}", ns)


def _cpus(_: CaseView, cell: CellSummary) -> str:
    cpus = cell.cell.attestation.get("cpus")
    return ", ".join(map(str, cpus)) if isinstance(cpus, list) else ""


def _remarks(cell: CellSummary) -> str:
    notes, stranded = (cell.cell.attestation.get(key) for key in ("notes", "stranded"))
    said = [plain(cell.cell.reason)] if cell.cell.reason else []
    said += [plain(f"{note} ({pool})" if pool else str(note)) for pool, note in _items(notes)]
    said += [
        f"{n:,} free objects of {plain(str(p))} that one thread cannot reach"
        for p, n in _items(stranded)
        if n and isinstance(n, int)
    ]
    return "; ".join(said)


def _items(found: Any) -> Iterable[tuple[Any, Any]]:
    return found.items() if isinstance(found, Mapping) else ()
