# SPDX-License-Identifier: BSD-3-Clause
"""How closely memory is reused, as a table a workload."""

from __future__ import annotations

from collections.abc import Sequence

from allocmark.report.figures import Names, layout, numeric, said_once, varied, wrapped
from allocmark.run.summary import CellSummary, GroupSummary

_COLUMNS = ["backend", "2 MB pages", "4 KB pages", "lines", "objects", "2 MB in all", "objects in all", "foreign puts"]


def reuse_table(groups: Sequence[GroupSummary], names: Names, width: int) -> str:
    """Distinct pages, lines and objects, of the groups of one workload; empty when none were counted."""
    if not any(cell.reuse for group in groups for cell in group.cells):
        return ""
    parameters = [group.planned.parameters for group in groups]
    varying, _ = varied(parameters)
    rows = [
        [*shown, names[cell.cell.label], *_figures(cell)]
        for group in groups
        for shown, cell in zip(
            said_once(group.planned.parameters, varying), [c for c in group.cells if c.reuse], strict=False
        )
    ]
    title = f"{groups[0].planned.workload}: memory reused, distinct per 1,000 objects got by one actor"
    table = layout([*varying, *_COLUMNS], rows, {*_COLUMNS[1:]} | numeric(parameters, varying), width, _COLUMNS[:2:-1])
    gets = min(cell.reuse["gets"] for group in groups for cell in group.cells if cell.reuse)
    note = (
        f"Counted in runs that are the same each time, over {gets:,} objects got or more (in all). "
        "lines: of the bytes that the workload touches. foreign puts: by another actor than got the object."
    )
    return "\n".join([title, "", table, "", *wrapped(note, width)])


def _figures(cell: CellSummary) -> list[str]:
    assert cell.reuse
    reuse, every, foreign = cell.reuse, cell.reuse["all"], cell.reuse["foreign_puts"]
    return [
        f"{reuse['pages_2m']:.1f}",
        *(f"{reuse[name]:.0f}" for name in ("pages_4k", "lines", "objects")),
        f"{every['pages_2m']:,}",
        f"{every['objects']:,}",
        "" if foreign is None else f"{foreign:.0%}",
    ]
