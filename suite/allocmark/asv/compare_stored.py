# SPDX-License-Identifier: BSD-3-Clause
"""Two revisions by what asv has stored of them: not interleaved, so only large differences are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allocmark import stats
from allocmark.asv.stored_results import Machine, StoredCell, read_results
from allocmark.asv.stored_results import figures as current_figures
from allocmark.errors import UsageError
from allocmark.gate.revision import resolve
from allocmark.stats import Estimate, Verdict


@dataclass(frozen=True)
class StoredRow:
    """One cell at both revisions, in the benchmark's ``unit``; asv takes up as worse, and so does the verdict."""

    machine: str
    benchmark: str
    parameters: Mapping[str, Any]
    unit: str
    base: StoredCell
    head: StoredCell
    ratio: Estimate | None
    verdict: Verdict


def compare_stored(repository: Path, results: Path, base: str, head: str) -> tuple[list[StoredRow], tuple[str, ...]]:
    """The cells that were measured of both revisions on one machine, worst first, and notes on what was left out.

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
            said = stats.verdict(ratio, stats.UNPAIRED_MARGIN)
            rows.append(StoredRow(machine.name, key[0], parameters, benchmark.unit, old[key], new[key], ratio, said))
    if not rows:
        known = {file.commit for machine in found.machines for file in machine.files}
        lacking = [name for name, commit in zip((base, head), commits, strict=True) if commit not in known]
        why = f"has no results of {' and '.join(lacking)}" if lacking else "has no cell of both revisions"
        raise UsageError(f"{results}: {why}: `allocmark track run` measures commits, --measure compares without")
    rows.sort(key=lambda row: (-row.ratio.value if row.ratio else 0.0, row.benchmark, str(row.parameters)))
    return rows, found.notes


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
    return stats.unpaired_ratio(two, one) if one and two else None


def _estimate(cell: StoredCell) -> Estimate | None:
    """What is counted has one sample, and no doubt."""
    if cell.value is None:
        return None
    if cell.n <= 1:
        return Estimate(cell.value, cell.value, cell.value, 1, covered=True)
    if cell.low is None or cell.high is None:
        return Estimate(
            cell.value, min(cell.samples, default=cell.value), max(cell.samples, default=cell.value), cell.n, False
        )
    return Estimate(cell.value, cell.low, cell.high, cell.n, covered=True)
