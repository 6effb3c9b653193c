# SPDX-License-Identifier: BSD-3-Clause
"""One case as it is planned: what runs, on which backends, and what serves their processes."""

from __future__ import annotations

from dataclasses import dataclass

from allocmark.passes.base import Pass
from allocmark.plugins import Registered
from allocmark.results.records import PlannedCase
from allocmark.workload.tape.program import Program


@dataclass(frozen=True)
class CasePlan:
    """One workload with one set of parameters, for all chosen variants. ``cpus``: (CPU, node) of each actor.

    The backend of a cell is ``unavailable`` when it cannot run this case. ``worker`` is the module that serves a cell;
    ``passes`` are all that are made, None: those that the request asks for. ``cell_seconds``: what they take then.
    """

    record: PlannedCase
    program: Program
    cells: tuple[Registered, ...]
    cpus: tuple[tuple[int, int], ...]
    worker: str = "allocmark.measuring.worker"
    passes: tuple[Pass, ...] | None = None
    cell_seconds: float = 0.0
