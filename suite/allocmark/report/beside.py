# SPDX-License-Identifier: BSD-3-Clause
"""A table a workload of what a pass beside the throughput found."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from allocmark.report.figures import Names, layout, numeric, said_once, varied, wrapped
from allocmark.run.summary import CellSummary, GroupSummary


def table_beside(
    groups: Sequence[GroupSummary],
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
    shown = [[cell for cell in group.cells if found(cell)] for group in groups]
    if not any(shown):
        return ""
    parameters = [group.planned.parameters for group in groups]
    varying, _ = varied(parameters)
    rows = [
        [*said, names[cell.cell.label], *figures(cell)]
        for group, cells in zip(groups, shown, strict=True)
        for said, cell in zip(said_once(group.planned.parameters, varying), cells, strict=False)
    ]
    right = {*columns} | numeric(parameters, varying)
    table = layout([*varying, "backend", *columns], rows, right, width, spare)
    text = note([cell for cells in shown for cell in cells])
    return "\n".join([f"{groups[0].planned.workload}: {title}", "", table, "", *wrapped(text, width)])
