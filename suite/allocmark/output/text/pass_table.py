# SPDX-License-Identifier: BSD-3-Clause
"""What a measurement pass found beside the samples, as a table for each workload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from allocmark.output.text.figures import Names, layout, numeric, said_once, varied, wrapped
from allocmark.passes.base import TablePass
from allocmark.results.summary import CaseSummary


def pass_table(each: TablePass[Any], cases: Sequence[CaseSummary], names: Names, width: int) -> str:
    """The cells of one workload that have a record of the pass, a row each; empty when none has."""
    shown = [[cell.cell for cell in case.cells if each.name in cell.cell.passes] for case in cases]
    records = [cell.passes[each.name] for cells in shown for cell in cells]
    if not records:
        return ""
    parameters = [case.planned.parameters for case in cases]
    varying, _ = varied(parameters)
    rows = [
        [*said, names[cell.label], *(column.text(cell.passes[each.name]) for column in each.columns)]
        for case, cells in zip(cases, shown, strict=True)
        for said, cell in zip(said_once(case.planned.parameters, varying), cells, strict=False)
    ]
    heads = [column.head for column in each.columns]
    table = layout([*varying, "backend", *heads], rows, {*heads} | numeric(parameters, varying), width, each.spare)
    return "\n".join([f"{cases[0].planned.workload}: {each.title}", "", table, "", *wrapped(each.note(records), width)])
