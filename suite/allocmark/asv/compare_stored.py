# SPDX-License-Identifier: BSD-3-Clause
"""Two revisions by what asv has stored of them. They were measured apart, so only large differences get a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allocmark.asv.stored_results import Machine, StoredCell, current_figures, read_results, unit_of
from allocmark.errors import UsageError
from allocmark.gate.revisions.git import resolve
from allocmark.gate.table import RIGHT, SPARE, WIDTH, ratio_texts
from allocmark.output.text.figures import assignments, decimals, layout, wrapped
from allocmark.stats import UNPAIRED_MARGIN, Estimate, Verdict, unpaired_ratio, verdict


@dataclass(frozen=True)
class StoredRow:
    """One cell at both revisions, in the benchmark's ``unit``. All are costs: a ratio above 1 is worse."""

    machine: str
    benchmark: str
    parameters: Mapping[str, Any]
    unit: str
    base: StoredCell
    head: StoredCell
    ratio: Estimate | None
    verdict: Verdict


def compare_stored(repository: Path, results: Path, base: str, head: str) -> tuple[list[StoredRow], tuple[str, ...]]:
    """The cells that one machine measured at both revisions, worst first, and notes on what was left out.

    Raises UsageError when there is no such cell, and AllocmarkError for a revision that does not exist.
    """
    commits = resolve(repository, base), resolve(repository, head)
    found = read_results(results)
    rows: list[StoredRow] = []
    for machine in found.machines:
        old, new = (_cells(machine, found.benchmarks, commit) for commit in commits)
        for key in old.keys() & new.keys():
            benchmark = found.benchmarks[key[0]]
            parameters = dict(zip(benchmark.parameters, key[1], strict=True))
            ratio = _ratio(old[key], new[key])
            said = verdict(ratio, UNPAIRED_MARGIN)
            rows.append(StoredRow(machine.name, key[0], parameters, benchmark.unit, old[key], new[key], ratio, said))
    if not rows:
        known = {file.commit for machine in found.machines for file in machine.files}
        lacking = [name for name, commit in zip((base, head), commits, strict=True) if commit not in known]
        why = f"has no results of {' and '.join(lacking)}" if lacking else "has no cell of both revisions"
        runs = ", ".join(f"`allocmark track run {name}^!`" for name in lacking or (base, head))
        raise UsageError(f"{results}: {why}: measure with {runs}; --measure needs no results (A..B begins after A)")
    rows.sort(key=lambda row: (-row.ratio.value if row.ratio else 0.0, row.benchmark, str(row.parameters)))
    return rows, found.notes


def render_stored(rows: Sequence[StoredRow], width: int | None = None) -> str:
    """The rows as a table, for a terminal of ``width`` columns."""
    width = width or WIDTH
    machines = {row.machine for row in rows}
    texts = [
        [
            *ratio_texts(row.ratio),
            str(row.verdict),
            *(_in_unit(cell.value, row.unit) for cell in (row.base, row.head)),
            unit_of(row.unit)[0],
            f"{row.benchmark} {assignments(row.parameters)}",
            row.machine if len(machines) > 1 else "",
        ]
        for row in rows
    ]
    headers = ("ratio", "interval", "verdict", "base", "head", "unit", "benchmark", "machine")
    said = (
        "ratio: head / base; below 1, head is better. The two were measured apart, so a verdict needs intervals that "
        f"do not overlap and a difference above {UNPAIRED_MARGIN:.0%}; `allocmark track gate` finds smaller ones."
    )
    return "\n".join([layout(headers, texts, RIGHT, width, SPARE), "", *wrapped(said, width)]) + "\n"


def _in_unit(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    shown = value * unit_of(unit)[1]
    return f"{shown:.{decimals(shown)}f}"


_Key = tuple[str, tuple[Any, ...]]


def _cells(machine: Machine, benchmarks: Mapping[str, Any], commit: str) -> dict[_Key, StoredCell]:
    return {
        (row.benchmark, cell.values): cell
        for file in machine.files
        if file.commit == commit
        for _, row in current_figures(file, benchmarks)
        for cell in row.cells
        if cell.value is not None
    }


def _ratio(old: StoredCell, new: StoredCell) -> Estimate | None:
    one, two = _estimate(old), _estimate(new)
    return unpaired_ratio(two, one) if one and two else None


def _estimate(cell: StoredCell) -> Estimate | None:
    """One sample means that it was counted, not timed: the interval is the value."""
    if cell.value is None:
        return None
    if cell.n <= 1:
        return Estimate(cell.value, cell.value, cell.value, 1, covered=True)
    if cell.low is None or cell.high is None:
        seen = cell.samples or (cell.value,)
        return Estimate(cell.value, min(seen), max(seen), cell.n, covered=False)
    return Estimate(cell.value, cell.low, cell.high, cell.n, covered=True)
