# SPDX-License-Identifier: BSD-3-Clause
"""A plain table for each measurement pass that has no place of its own on a page."""

from __future__ import annotations

from allocmark.output.html.chart import values_of, varying
from allocmark.output.html.page_tables import Column, Datum, Table, unbroken
from allocmark.output.html.view import View, WorkloadView
from allocmark.passes import registry

PLACED = {"latency", "reuse"}  #: passes shown elsewhere, with more than their columns


def pass_tables(view: View, workload: WorkloadView) -> list[tuple[Table, str]]:
    """Each table with the note that belongs below it."""
    tables = []
    for each in registry.PASSES:
        found = [
            (case, cell.cell, cell.cell.passes[each.name])
            for case in workload.cases
            for cell in case.summary.cells
            if each.name in cell.cell.passes and each.name not in PLACED
        ]
        rows = [
            [
                *values_of(workload, case),
                unbroken(view.name(cell.label)),
                *(Datum(column.text(record), column.value(record)) for column in each.columns),
            ]
            for case, cell, record in found
        ]
        heads = (*varying(workload), Column("backend"), *(Column(column.head, True) for column in each.columns))
        if rows:
            tables.append((Table.of(each.title, heads, rows), each.note([record for *_, record in found])))
    return tables
