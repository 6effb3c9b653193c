# SPDX-License-Identifier: BSD-3-Clause
"""A run of the verifying mode as text: a verdict for each cell, and why."""

from __future__ import annotations

from collections.abc import Mapping

from tabulate import tabulate

from allocmark.output.text.figures import assignments, plain
from allocmark.results.records import MeasuredCell
from allocmark.results.store import Run


def verified(run: Run) -> str:
    """The table of ``allocmark run --verify``, ready to print."""
    rows = [_row(cell) for case in run.cases for cell in case.cells]
    return tabulate(
        rows,
        ["workload", "parameters", "backend", "verdict", "objects checked", "why"],
        disable_numparse=True,
        colalign=("left", "left", "left", "left", "right", "left"),
    )


def _row(cell: MeasuredCell) -> list[str]:
    verdict = "verified" if cell.status == "ok" else cell.status
    stranded = cell.attestation.get("stranded")
    why = cell.reason or "; ".join(
        f"{n:,} free objects of {pool} cannot be got by one thread alone"
        for pool, n in (stranded if isinstance(stranded, Mapping) else {}).items()
        if isinstance(n, int)
    )
    texts = [cell.workload, assignments(cell.parameters), cell.label, verdict, f"{cell.objects:,}", why]
    return [*map(plain, texts)]
