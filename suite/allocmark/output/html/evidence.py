# SPDX-License-Identifier: BSD-3-Clause
"""The evidence: every sample, and what each figure rests on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from allocmark.output.html.chart import COST, LESS, Chart, short, values_of, varying
from allocmark.output.html.page_tables import Column, Datum, Table, count, text, unbroken, whole
from allocmark.output.html.view import View, WorkloadView
from allocmark.output.text.figures import counted, plain
from allocmark.results.summary import CellSummary


def samples(workload: WorkloadView) -> Chart:
    """Every sample in the order of time, a panel for each case; those disturbed or set aside are marked."""
    rows = []
    for case in workload.cases:
        kept = case.summary.distance.kept
        for cell in case.summary.cells:
            raw = cell.cell
            if raw.samples:
                marks = [
                    2 if block not in kept else 1 if index in raw.disturbed else 0
                    for index, block in enumerate(raw.blocks)
                ]
                ys = [short(sample) for sample in raw.samples]
                row = {"panel": case.title, "label": raw.label, "x": list(raw.blocks), "y": ys}
                rows.append(row | {"m": "".join(map(str, marks))})
    taken = sum(len(row["y"]) for row in rows)
    return Chart(
        "samples",
        "Every sample",
        f"{COST} over block",
        LESS,
        f"{counted(taken, 'sample')} in the order in which they were taken.",
        {"rows": rows, "unit": COST},
        None,
        "Filled: used. Hollow: used, though the process was descheduled or the hypervisor took time. "
        "Crossed: set aside, as the core-to-core distance was another one.",
    )


def evidence(view: View, workload: WorkloadView) -> Table:
    """What each figure rests on."""
    return Table.of(
        f"What the figures of {workload.name} rest on",
        (
            *varying(workload),
            Column("backend"),
            Column("version"),
            Column("blocks used", True),
            Column("disturbed", True, "samples used though descheduled, or while the hypervisor took time"),
            Column("set aside", True, "samples in blocks of another core-to-core distance"),
            Column("objects a sample", True),
            Column("core to core, ns", True, "round trip of a cache line, median of the blocks used"),
            Column("CPUs", False, "one an actor"),
            Column("gets that failed", True),
            Column("set-up s", True),
            Column("state", False),
            Column("remarks", False),
        ),
        [
            [
                *values_of(workload, case),
                unbroken(view.name(cell.cell.label)),
                text(plain(cell.cell.version)),
                count(len(cell.values)) if cell.values else Datum(),
                count(cell.disturbed) if cell.values else Datum(),
                count(cell.set_aside) if cell.values else Datum(),
                count(cell.cell.objects) if cell.cell.objects else Datum(),
                Datum(f"{ns:.0f}", ns) if (ns := case.summary.distance.ns) is not None else Datum(),
                text(", ".join(map(str, cpus)) if isinstance(cpus := cell.cell.attestation.get("cpus"), list) else ""),
                whole(cell.cell.attestation.get("failed_gets")),
                Datum(f"{cell.cell.setup_seconds:.2f}", cell.cell.setup_seconds),
                text(cell.cell.status, "" if cell.cell.status == "ok" else "bad"),
                text(_remarks(cell)),
            ]
            for case in workload.cases
            for cell in case.summary.cells
        ],
    )


def _remarks(cell: CellSummary) -> str:
    notes, stranded = (cell.cell.attestation.get(key) for key in ("notes", "stranded"))
    said = [plain(cell.cell.reason)] if cell.cell.reason else []
    said += [f"{plain(str(note))} ({plain(str(pool))})" for pool, note in _items(notes)]
    said += [f"{n:,} free objects of {plain(str(p))} out of one thread's reach" for p, n in _items(stranded) if n]
    return "; ".join(said)


def _items(found: Any) -> Iterable[tuple[Any, Any]]:
    return found.items() if isinstance(found, Mapping) else ()
