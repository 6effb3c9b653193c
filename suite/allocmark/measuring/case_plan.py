# SPDX-License-Identifier: BSD-3-Clause
"""One case as it is planned: what runs, on which backends, and what serves their processes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from allocmark.measuring.tapes import Tapes
from allocmark.passes.base import Pass
from allocmark.plugins import Registered
from allocmark.results.records import PlannedCase
from allocmark.workload.tape.program import Program


@dataclass(frozen=True)
class CasePlan:
    """One workload with one set of parameters, for all chosen variants. ``cpus``: (CPU, node) of each actor.

    The backend of a cell is ``unavailable`` when it cannot run this case. ``program`` is that of the first round;
    ``tapes`` has those of all, None: each is the same. ``worker`` is the module that serves a cell;
    ``passes`` are all that are made, None: those that the request asks for. ``cell_seconds``: what they take then.
    """

    record: PlannedCase
    program: Program
    cells: tuple[Registered, ...]
    cpus: tuple[tuple[int, int], ...]
    tapes: Tapes | None = None
    worker: str = "allocmark.measuring.worker"
    passes: tuple[Pass, ...] | None = None
    cell_seconds: float = 0.0

    def in_round(self, number: int) -> CasePlan:
        """With the program of the round with this ``number``."""
        return replace(self, program=self.tapes.of_round(number)) if self.tapes else self
