# SPDX-License-Identifier: BSD-3-Clause
"""Runs one case: all its cells at once, one process each, their samples interleaved.

A *block* is one sample of every cell. The order rotates from block to block and turns round every second time, so
that no cell always follows the same other one. With several actors each timed block begins and ends with the
core-to-core probe; a block in which the distance moved is marked, and the statistics leave it out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from allocmark.engine import core_distance
from allocmark.measuring.plan import CasePlan
from allocmark.measuring.request import Request
from allocmark.measuring.running_cell import RunningCell
from allocmark.passes import registry
from allocmark.passes.base import ENOUGH_BLOCKS, Pass
from allocmark.results.records import Block, MeasuredCase

DISTANCE_TOLERANCE = 1.25  #: a distance that moves by more than this factor has changed


@dataclass
class Progress:
    """Where a run is. ``cell`` is a label, or what is being done."""

    case: int
    cases: int
    title: str
    cell: str
    block: int
    blocks: int


class CaseRun:
    """One case, from the start of its processes to its record."""

    def __init__(
        self, plan: CasePlan, request: Request, probe_plugins: Sequence[str], stopping: Callable[[], bool]
    ) -> None:
        """``stopping`` is asked between samples: true ends the case early, with what it has."""
        self.plan = plan
        self.request = request
        self._stopping = stopping
        self._cut_short = False
        self._probe_plugins = probe_plugins
        self._cells = [RunningCell(plan, registered) for registered in plan.cells]

    def run(self, progress: Callable[[str, int], None]) -> MeasuredCase | None:
        """The case's record, or None when it was stopped before there was anything to keep.

        ``progress`` is told what is being done, and the number of the block.
        """
        begun = time.monotonic()
        passes = registry.scheduled(self.request.passes, self.request.verify)
        try:
            progress("set-up", 0)
            for cell in self._cells:
                cell.start(self.request, passes, self._probe_plugins)
            for cell in self._alive():
                cell.await_ready()
            blocks = {each: self._measure(each, progress) for each in passes}
            own = [block for each, taken in blocks.items() if each.gives_samples for block in taken]
            if self._cut_short and len(own) < ENOUGH_BLOCKS:
                return None
            progress("attestation", len(own))
            for cell in self._alive():
                cell.finish()
        finally:
            for cell in self._cells:
                cell.stop()
        return MeasuredCase(
            case=self.plan.record.case,
            cells=tuple(cell.record(blocks) for cell in self._cells),
            blocks=tuple(own),
            seconds=time.monotonic() - begun,
            measured_seconds=self.measured_seconds,
            cut_short=self._cut_short,
        )

    @property
    def measured_seconds(self) -> float:
        """Spent in samples and warm-up so far."""
        return sum(cell.measured_seconds for cell in self._cells)

    @property
    def refused(self) -> tuple[str, ...]:
        """Labels of the cells whose backend would not be set up as asked, rather than do wrong."""
        return tuple(cell.backend.label for cell in self._cells if cell.refused)

    def _alive(self, timed: bool = True) -> list[RunningCell]:
        # Counting passes learn nothing from the floor, which hands out the same objects whatever comes back.
        return [cell for cell in self._cells if cell.alive and (timed or not cell.backend.floor)]

    def _measure(self, each: Pass, progress: Callable[[str, int], None]) -> list[Block]:
        """The blocks of one pass; fewer than it wants when the run is stopped, or nothing is left to compare."""
        for cell in self._alive(each.timed):
            progress(f"warm-up {cell.backend.label}", 0)
            cell.warm_up(each, self.request.sample_ms, self._stopping)
        blocks: list[Block] = []
        distance = self._distance() if each.timed else None
        for block in range(each.blocks(self.request.blocks)):
            cells = self._alive(each.timed)
            self._cut_short = self._cut_short or self._stopping()
            if self._cut_short or self._only_floor_left(cells):
                break
            turn = block // 2 % len(cells)
            order = cells[turn:] + cells[:turn]
            for cell in reversed(order) if block % 2 else order:
                progress(cell.backend.label, block)
                cell.take(each, block)
            before, distance = distance, self._distance() if each.timed else None
            blocks.append(Block(before, _moved(before, distance)))
        return blocks

    def _only_floor_left(self, alive: Sequence[RunningCell]) -> bool:
        """Everything that the floor was to be compared with is lost."""
        return all(cell.backend.floor for cell in alive) and (
            not alive or any(not cell.backend.floor for cell in self._cells)
        )

    def _distance(self) -> float | None:
        """The farthest pair of the CPUs in use, in ns; None for one actor, or when actors are left free."""
        cpus = sorted({cpu for cpu, _ in self.plan.cpus if cpu >= 0})
        if len(cpus) < 2:
            return None
        return max(core_distance(a, b) for a, b in combinations(cpus, 2))


def _moved(before: float | None, after: float | None) -> bool:
    if before is None or after is None:
        return False
    return max(before, after) > DISTANCE_TOLERANCE * min(before, after)
