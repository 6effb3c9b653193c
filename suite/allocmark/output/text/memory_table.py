# SPDX-License-Identifier: BSD-3-Clause
"""What the cells of a workload keep in memory, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from allocmark.output.text.figures import Names, significant
from allocmark.output.text.pass_table import cell_table
from allocmark.results.memory import memory_of
from allocmark.results.records import MeasuredCell
from allocmark.results.summary import CaseSummary

_HEADS = ("live at most", "resident", "arena", "growth", "after drain")
_SPARE = ("growth",)
_NOTE = (
    "MiB. live at most: the objects that the workload holds. resident: what the process had after its samples beyond "
    "what it had before the backend was started, up to 6 MiB of them for the measuring itself; a pool holds all of its "
    "objects from the beginning, malloc those in use. arena: what the backend has of the kernel, touched or not, where "
    "it tells. growth: what was more resident after the last sample than after the first. after drain: resident when "
    "every object was put back."
)


def memory_table(cases: Sequence[CaseSummary], names: Names, width: int) -> str:
    """The cells of one workload of which something is known, a row each; empty when there is none. Not the floor."""
    return cell_table("memory", _HEADS, _texts, _NOTE, cases, names, width, _SPARE)


def _texts(cell: MeasuredCell) -> list[str] | None:
    found = None if cell.floor else memory_of(cell)
    return None if found is None else [*map(_mib, vars(found).values())]


def _mib(count: int | None) -> str:
    return "" if count is None else significant(count / 2**20) if count else "0"
