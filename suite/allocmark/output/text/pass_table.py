# SPDX-License-Identifier: BSD-3-Clause
"""What a measurement pass found beside the samples, as a table for each workload."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from allocmark.output.text.figures import Names, layout, numeric, said_once, varied, wrapped
from allocmark.passes.base import TablePass
from allocmark.results.records import MeasuredCell
from allocmark.results.summary import CaseSummary


def pass_table(each: TablePass[Any], cases: Sequence[CaseSummary], names: Names, width: int) -> str:
    """The cells of one workload that have a record of the pass, a row each; empty when none has."""
    cells = [cell.cell for case in cases for cell in case.cells]
    records = [cell.passes[each.name] for cell in cells if each.name in cell.passes]

    def texts(cell: MeasuredCell) -> list[str] | None:
        record = cell.passes.get(each.name)
        return None if record is None else [column.text(record) for column in each.columns]

    note = each.note(records) if records else ""
    heads = [column.head for column in each.columns]
    return cell_table(each.title, heads, texts, note, cases, names, width, each.spare)


def cell_table(
    title: str,
    heads: Sequence[str],
    texts: Callable[[MeasuredCell], Sequence[str] | None],
    note: str,
    cases: Sequence[CaseSummary],
    names: Names,
    width: int,
    spare: Sequence[str] = (),
) -> str:
    """The cells of one workload that have ``texts`` for ``heads``, a row each; empty when none has."""
    shown = [[(cell.cell, said) for cell in case.cells if (said := texts(cell.cell))] for case in cases]
    if not any(shown):
        return ""
    parameters = [case.planned.parameters for case in cases]
    varying, _ = varied(parameters)
    rows = [
        [*place, names[cell.label], *said]
        for case, cells in zip(cases, shown, strict=True)
        for place, (cell, said) in zip(said_once(case.planned.parameters, varying), cells, strict=False)
    ]
    table = layout([*varying, "backend", *heads], rows, {*heads} | numeric(parameters, varying), width, spare)
    return "\n".join([f"{cases[0].planned.workload}: {title}", "", table, "", *wrapped(note, width)])
