# SPDX-License-Identifier: BSD-3-Clause
"""What the cells of a workload keep in memory, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from allocmark.output.text.figures import Names, layout, numeric, said_once, significant, varied, wrapped
from allocmark.results.memory import memory_of
from allocmark.results.summary import CaseSummary

_HEADS = ("live at most", "resident", "after drain")
_NOTE = (
    "MiB. live at most: the objects that the workload holds. resident: what the process had after its samples beyond "
    "what it had before the backend was started; a pool holds all of its objects from the beginning, malloc those in "
    "use. after drain: the same when every object was put back."
)


def memory_table(cases: Sequence[CaseSummary], names: Names, width: int) -> str:
    """The cells of one workload of which something is known, a row each; empty when there is none. Not the floor."""
    shown = [
        [(cell.cell, found) for cell in case.cells if not cell.cell.floor and (found := memory_of(cell.cell))]
        for case in cases
    ]
    if not any(shown):
        return ""
    parameters = [case.planned.parameters for case in cases]
    varying, _ = varied(parameters)
    rows = [
        [*said, names[cell.label], *map(_mib, (found.live, found.resident, found.retained))]
        for case, cells in zip(cases, shown, strict=True)
        for said, (cell, found) in zip(said_once(case.planned.parameters, varying), cells, strict=False)
    ]
    table = layout([*varying, "backend", *_HEADS], rows, {*_HEADS} | numeric(parameters, varying), width)
    return "\n".join([f"{cases[0].planned.workload}: memory", "", table, "", *wrapped(_NOTE, width)])


def _mib(count: int | None) -> str:
    return "" if count is None else significant(count / 2**20) if count else "0"
