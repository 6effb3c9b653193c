# SPDX-License-Identifier: BSD-3-Clause
"""One name for a cell, the same in every run, in formats that have no parameters."""

from __future__ import annotations

from allocmark.output.text.figures import assignments, plain
from allocmark.results.records import MeasuredCell


def title(cell: MeasuredCell) -> str:
    """``workload key=value … backend:variant``, on one line."""
    return plain(" ".join(filter(None, (cell.workload, assignments(cell.parameters), cell.label))))
