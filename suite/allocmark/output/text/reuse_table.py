# SPDX-License-Identifier: BSD-3-Clause
"""How closely memory is reused, as a table a workload."""

from __future__ import annotations

from collections.abc import Sequence

from allocmark.output.text.figures import Names
from allocmark.output.text.pass_table import table_beside
from allocmark.results.summary import CaseSummary, CellSummary

_COLUMNS = ["2 MB pages", "4 KB pages", "lines", "objects", "2 MB in all", "objects in all", "foreign puts"]


def reuse_table(cases: Sequence[CaseSummary], names: Names, width: int) -> str:
    """Distinct pages, lines and objects, of the cases of one workload; empty when none were counted."""
    return table_beside(
        cases,
        names,
        width,
        title="memory reused, distinct per 1,000 objects got by one actor",
        columns=_COLUMNS,
        spare=_COLUMNS[:1:-1],
        found=lambda cell: bool(cell.reuse),
        figures=_figures,
        note=_note,
    )


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


def _note(cells: Sequence[CellSummary]) -> str:
    gets = min(cell.reuse["gets"] for cell in cells if cell.reuse)
    return (
        f"Counted in runs that are the same each time, over {gets:,} objects got or more (in all). "
        "lines: of the bytes that the workload touches. foreign puts: by another actor than got the object."
    )
