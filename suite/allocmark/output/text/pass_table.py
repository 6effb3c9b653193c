# SPDX-License-Identifier: BSD-3-Clause
"""A table a workload of what a pass beside the throughput found."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from allocmark.output.text.figures import Names, layout, numeric, said_once, varied, wrapped
from allocmark.results.summary import CaseSummary, CellSummary


def table_beside(
    cases: Sequence[CaseSummary],
    names: Names,
    width: int,
    *,
    title: str,
    columns: Sequence[str],
    spare: Sequence[str],
    found: Callable[[CellSummary], bool],
    figures: Callable[[CellSummary], list[str]],
    note: Callable[[Sequence[CellSummary]], str],
) -> str:
    """The cells of one workload for which ``found`` holds, a row each, with a ``note`` below; empty when none does.

    ``columns``: the headers of ``figures``, all of numbers; those in ``spare`` go first in a narrow terminal.
    """
    shown = [[cell for cell in case.cells if found(cell)] for case in cases]
    if not any(shown):
        return ""
    parameters = [case.planned.parameters for case in cases]
    varying, _ = varied(parameters)
    rows = [
        [*said, names[cell.cell.label], *figures(cell)]
        for case, cells in zip(cases, shown, strict=True)
        for said, cell in zip(said_once(case.planned.parameters, varying), cells, strict=False)
    ]
    right = {*columns} | numeric(parameters, varying)
    table = layout([*varying, "backend", *columns], rows, right, width, spare)
    text = note([cell for cells in shown for cell in cells])
    return "\n".join([f"{cases[0].planned.workload}: {title}", "", table, "", *wrapped(text, width)])
