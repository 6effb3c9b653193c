# SPDX-License-Identifier: BSD-3-Clause
"""A plain table for each measurement pass that has no chart."""

from __future__ import annotations

from typing import Any

from allocmark.output.html.charts import parameter_columns
from allocmark.output.html.page_tables import Column, Datum, Table, unbroken
from allocmark.output.html.run_view import View, WorkloadView
from allocmark.passes import registry
from allocmark.passes.base import PassColumn

CHARTED = {"latency"}  #: passes with a chart, whose table has more than their columns


def pass_tables(view: View, workload: WorkloadView) -> list[tuple[str, Table, str]]:
    """The title of each table, the table, and the note that belongs below it."""
    tables = []
    for each in registry.PASSES:
        found = [
            (case, cell, cell.cell.passes[each.name])
            for case in workload.cases
            for cell in case.summary.cells
            if each.name in cell.cell.passes and each.name not in CHARTED
        ]
        columns = (
            *parameter_columns(workload),
            Column("backend", lambda _, cell, __: unbroken(view.name(cell.cell.label))),
            *map(_column, each.columns),
        )
        if found:
            title = each.title[0].upper() + each.title[1:]
            table = Table.of(title, columns, found, key="backend")
            tables.append((title, table, each.note([record for *_, record in found])))
    return tables


def _column(column: PassColumn[Any]) -> Column:
    return Column(column.head, lambda _, __, record: Datum(column.text(record), column.value(record)), True)
