# SPDX-License-Identifier: BSD-3-Clause
"""Measures one case in one round: a fresh process per cell, their samples interleaved.

A *block* is one sample of every cell. The order rotates from block to block and turns round every second time, so
that no cell always follows the same other one. Where it is asked for, each cell's samples are taken together instead.
Before and after each timed block a look at the CPUs says how far apart and how fast they are; a block in which that
changed is marked, and the statistics leave it out. So a block is to be short: cells move before the first look.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from allocmark.measuring.case_plan import CasePlan
from allocmark.measuring.cpu_watch import watch
from allocmark.measuring.draws import Draw
from allocmark.measuring.process import CellProcess
from allocmark.measuring.request import Request
from allocmark.measuring.running_cell import RunningCell
from allocmark.passes import registry
from allocmark.passes.base import Pass
from allocmark.plugins import Entry
from allocmark.results.records import Block, MeasuredCase
from allocmark.stats import usual_conditions
from allocmark.system import machine

BLOCK_TRIES = 2  #: a block in which CPUs changed is taken again
MOST_OTHERS = 8  #: CPUs that are tried in place of one that is slow
LONG_SAMPLE = 0.1  #: seconds: a CPU's speed at both ends says nothing of longer ones

Teller = Callable[[str], None]  #: is told what is being done: a cell's label, or "set-up" and the like


@dataclass(frozen=True)
class Progress:
    """Where long work is: the share that is ``done``, at what (``title``), and what it is doing.

    ``left``: seconds that the rest takes at most, None where that is not known. ``slowed``: something else uses the
    CPUs, and the work takes longer for it.
    """

    done: float
    title: str
    doing: str
    left: float | None = None
    slowed: bool = False


@dataclass
class Known:
    """What earlier rounds of a case found: units per sample by label, why a cell is not tried again, and how many were
    usable."""

    units: dict[str, int] = field(default_factory=dict)
    given_up: Mapping[str, str] = field(default_factory=dict)
    usable: int = 0


class CaseRun:
    """One round of a case, from the start of its processes to its record."""

    def __init__(
        self,
        plan: CasePlan,
        request: Request,
        number: int,
        *,
        known: Known | None = None,
        probe_plugins: Sequence[Entry] = (),
        passes: Sequence[Pass] | None = None,
        stopping: Callable[[], bool] = lambda: False,
        process: Callable[[Mapping[str, Any], Mapping[str, str], float, str], CellProcess] = CellProcess,
    ) -> None:
        """The round with this ``number``.

        ``passes`` are measured, None: those that the request asks for in this round. ``stopping`` is asked between
        samples: true ends the round, of which then nothing is kept. ``process`` starts a cell's process.
        """
        self.plan = _on_a_free_cpu(plan.in_round(number))
        self.request = request
        self._round = number
        self._known = known or Known()
        self._probe_plugins = probe_plugins
        if passes is None:
            passes = plan.passes or registry.scheduled(
                request.passes, request.verify, number, self._known.usable, request.pass_rounds
            )
        self._passes = passes
        self._stopping = stopping
        self._stopped = False
        self._process = process
        self._cells = [self._cell(registered.backend.label, index) for index, registered in enumerate(plan.cells)]

    def _cell(self, label: str, index: int) -> RunningCell:
        # By its place as well: a gate compares two cells of one label.
        draw = Draw.of(self.request.seed, self.plan.record.title, f"{index} {label}", self._round)
        units = self._known.units.get(label, 1)
        return RunningCell(self.plan, self.plan.cells[index], draw, units, self._known.given_up.get(label))

    def run(self, progress: Teller) -> MeasuredCase | None:
        """The record of the round, or None when it was stopped."""
        begun = time.monotonic()
        try:
            progress("set-up")
            for cell in self._cells:
                cell.start(self.request, self._passes, self._probe_plugins, self._process)
            for cell in self._alive():
                cell.await_ready()
            blocks = {each: self._measure(each, progress) for each in self._passes}
            if self._stopped:
                return None
            progress("attestation")
            finishing = self._alive()
            for cell in finishing:
                cell.finish()
            for cell in finishing:
                cell.await_finished()
        finally:
            for cell in self._cells:
                cell.stop()
        watch.spent += time.monotonic() - begun
        self._known.units |= {cell.backend.label: cell.units for cell in self._alive()}
        usual = {each: usual_conditions(taken) for each, taken in blocks.items()}
        return MeasuredCase(
            case=self.plan.record.case,
            cells=tuple(cell.record({each: found.kept for each, found in usual.items()}) for cell in self._cells),
            blocks=tuple(block for each, taken in blocks.items() if each.gives_samples for block in taken),
            seconds=time.monotonic() - begun,
            measured_seconds=sum(cell.measured_seconds for cell in self._cells),
            round=self._round,
            pass_paces={
                each.name: found.pace_ns
                for each, found in usual.items()
                if not each.gives_samples and found.pace_ns is not None
            },
        )

    @property
    def refused(self) -> tuple[str, ...]:
        """Labels of the cells whose backend would not be set up as asked, rather than do wrong."""
        return tuple(cell.backend.label for cell in self._cells if cell.refused)

    def _alive(self, timed: bool = True) -> list[RunningCell]:
        # Counting passes learn nothing from the floor, which hands out the same objects whatever comes back.
        return [cell for cell in self._cells if cell.alive and (timed or not cell.backend.floor)]

    def _measure(self, each: Pass, progress: Teller) -> list[Block]:
        """The blocks of one pass; fewer than it wants when the run is stopped, or nothing is left to compare."""
        for cell in self._alive(each.timed):
            progress(f"warm-up {cell.backend.label}")
            cell.warm_up(each, self.request.sample_ms, self._stopping)
        blocks: list[Block] = []
        cpus = sorted({cpu for cpu, _ in self.plan.cpus if cpu >= 0}) if each.timed else []
        short = self.plan.cell_seconds <= LONG_SAMPLE
        tries = 1 if each.once or self.request.together else BLOCK_TRIES
        for stretch in self._stretches(each.blocks(self.request.blocks)):
            if not self.request.together:
                for cell in self._alive(each.timed):
                    cell.move(each, stretch.start)
            before = watch.look(cpus, paces=short)
            for _ in range(tries):
                before = watch.wait(cpus, before, self._stopping, progress)
                cells = self._alive(each.timed)
                self._stopped = self._stopped or self._stopping()
                if self._stopped or self._only_floor_left(cells):
                    return blocks
                for cell in self._order(cells, stretch.start):
                    progress(cell.backend.label)
                    for block in stretch:
                        if cell.alive and self.request.together:
                            cell.move(each, block)
                        if cell.alive:
                            cell.take(each, block)
                after = watch.look(cpus, paces=short)
                taken = Block(before.distance, not before.same(after), self._round, before.pace)
                before = after
                if not taken.changed:
                    break
            blocks += [taken] * len(stretch)
        return blocks

    def _order(self, cells: Sequence[RunningCell], block: int) -> Iterable[RunningCell]:
        """Another first one, and another direction, in every other block, or in every other round of those together."""
        if self.request.together:
            turn, backwards = self._round % len(cells), self._round // len(cells) % 2
        else:
            turn, backwards = (self._round + block // 2) % len(cells), (self._round + block) % 2
        order = [*cells[turn:], *cells[:turn]]
        return reversed(order) if backwards else order

    def _stretches(self, blocks: int) -> list[range]:
        """Of blocks in which a cell takes its samples one after another."""
        if self.request.together:
            return [range(blocks)]
        return [range(block, block + 1) for block in range(blocks)]

    def _only_floor_left(self, alive: Sequence[RunningCell]) -> bool:
        """Everything that the floor was to be compared with is lost."""
        return all(cell.backend.floor for cell in alive) and (
            not alive or any(not cell.backend.floor for cell in self._cells)
        )


def _on_a_free_cpu(plan: CasePlan) -> CasePlan:
    """A single actor may be on any CPU of its node, if that is as fast."""
    if len(plan.cpus) != 1 or plan.cpus[0][0] < 0:
        return plan
    ((planned, node),) = plan.cpus

    def others() -> list[int]:
        alike = [cpu for cpu in machine.usable_cpus() if cpu != planned and machine.cpu_node(cpu) == node]
        return alike[:MOST_OTHERS]

    return replace(plan, cpus=((watch.choose(planned, others), node),))
