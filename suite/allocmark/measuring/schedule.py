# SPDX-License-Identifier: BSD-3-Clause
"""Runs one case: all its cells at once, one process each, their samples interleaved.

A *block* is one sample of every cell. The order rotates from block to block and turns round every second time, so
that no cell always follows the same other one. With several actors each block begins and ends with the
core-to-core probe; a block in which the distance moved is marked, and the statistics leave it out.

Before all samples comes the run in turns (reuse), after them the latency pass, in blocks of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from allocmark.engine import core_distance
from allocmark.engine.session import STALL_SECONDS
from allocmark.measuring.attest import check_cache
from allocmark.measuring.plan import CasePlan, CellPlan, owner
from allocmark.measuring.process import CellFailedError, CellProcess, CellRefusedError
from allocmark.measuring.request import Request
from allocmark.passes.latency import merged
from allocmark.results.records import Block, MeasuredCase, MeasuredCell
from allocmark.stats import dominant_distance

DISTANCE_TOLERANCE = 1.25  #: a distance that moves by more than this factor has changed
ENOUGH_BLOCKS = 8  #: an interrupted case with fewer could show no interval, and is not kept
MOST_UNITS = 1 << 40
ATTESTED = ("pages", "numa")  #: probes that say what was really on
VERIFY_SAMPLES = 3
VERIFY_MS = 200.0
LONGEST_SAMPLE = 10  #: a sample that lasts so many times as long as it should is ended
LATENCY_SHARE = 10  #: so many blocks of samples for one of the latency pass, and at least ENOUGH_BLOCKS of those


@dataclass
class Progress:
    """Where a run is. ``cell`` is a label, or what is being done."""

    case: int
    cases: int
    title: str
    cell: str
    block: int
    blocks: int


@dataclass
class _Running:
    """A cell in flight."""

    plan: CellPlan
    process: CellProcess | None = None
    units: int = 1
    objects: int = 0
    samples: list[float] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    disturbed: dict[int, list[str]] = field(default_factory=dict)
    latency: dict[int, Mapping[str, Any]] = field(default_factory=dict)  # replies, by latency block
    reuse: Mapping[str, Any] = field(default_factory=dict)
    failed_gets: int = 0
    cpus: set[int] = field(default_factory=set)
    setup_seconds: float = 0.0
    failure: str | None = None
    refused: bool = False
    closing: Mapping[str, Any] = field(default_factory=dict)


class CaseRun:
    """One case, from the start of its processes to its record."""

    def __init__(
        self, plan: CasePlan, request: Request, probe_plugins: list[str], stopping: Callable[[], bool]
    ) -> None:
        """``stopping`` is asked between samples: true ends the case early, with what it has."""
        self.plan = plan
        self.request = request
        self.measured_seconds = 0.0
        self._stopping = stopping
        self._cut_short = False
        self._probe_plugins = probe_plugins
        self._cells = [_Running(cell) for cell in plan.cells]
        self._blocks: list[Block] = []
        self._latency_blocks: list[Block] = []

    def run(self, progress: Callable[[str, int], None]) -> MeasuredCase | None:
        """The case's record, or None when it was stopped before there was anything to keep."""
        begun = time.monotonic()
        try:
            progress("set-up", 0)
            self._start()
            if self.request.verify:
                self._verify(progress)
            else:
                if self.request.reuse:
                    self._reuse(progress)
                self._calibrate(progress)
                self._rounds(self.request.blocks, self._blocks, self._keep, progress)
                if self.request.latency:
                    wanted = min(self.request.blocks, max(ENOUGH_BLOCKS, self.request.blocks // LATENCY_SHARE))
                    self._rounds(wanted, self._latency_blocks, self._keep_latency, progress)
            if self._cut_short and len(self._blocks) < ENOUGH_BLOCKS:
                return None
            progress("attestation", len(self._blocks))
            self._finish()
        finally:
            for cell in self._cells:
                if cell.process:
                    cell.process.stop()
        return MeasuredCase(
            case=self.plan.record.case,
            cells=tuple(self._record(cell) for cell in self._cells),
            blocks=tuple(self._blocks),
            seconds=time.monotonic() - begun,
            measured_seconds=self.measured_seconds,
            cut_short=self._cut_short,
        )

    @property
    def refused(self) -> tuple[str, ...]:
        """Labels of the cells whose backend would not be set up as asked, rather than do wrong."""
        return tuple(cell.plan.backend.label for cell in self._cells if cell.refused)

    def _alive(self) -> list[_Running]:
        return [cell for cell in self._cells if cell.process and not cell.failure]

    def _start(self) -> None:
        program = self.plan.program.to_json()

        def launch(cell: _Running) -> None:
            job = {
                "plugins": owner(cell.plan.registered) + self._probe_plugins,
                "prefix": cell.plan.registered.prefix,
                "backend": cell.plan.backend.label,
                "program": program,
                "cpus": self.plan.cpus,
                "verify": self.request.verify,
                "stall_seconds": min(STALL_SECONDS, self.request.timeout / 2),
                # What is a thousand times slower now and then would not come back from a sample of fixed length.
                "limit_seconds": 0 if self.request.verify else LONGEST_SAMPLE * self.request.sample_ms / 1e3,
            }
            cell.process = CellProcess(job, cell.plan.backend.environ, self.request.timeout)

        for cell in self._cells:
            if not cell.plan.unavailable:
                self._try(cell, launch)
        for cell in self._alive():
            self._try(cell, self._await_ready)

    def _await_ready(self, cell: _Running) -> None:
        assert cell.process
        cell.setup_seconds = cell.process.ready()["setup_seconds"]

    def _try(self, cell: _Running, action: Callable[[_Running], None]) -> None:
        """What goes wrong in a cell is the cell's."""
        try:
            action(cell)
        except CellFailedError as failure:
            cell.failure = str(failure)
            cell.refused = isinstance(failure, CellRefusedError)

    def _sample(self, cell: _Running, what: str = "sample") -> dict[str, Any]:
        assert cell.process
        begun = time.monotonic()
        try:
            return cell.process.request(what, units=cell.units)
        finally:
            self.measured_seconds += time.monotonic() - begun

    def _reuse(self, progress: Callable[[str, int], None]) -> None:
        """Before anything that depends on the clock, so that it finds the pools the same in every run."""

        def reuse(cell: _Running) -> None:
            assert cell.process
            cell.reuse = cell.process.request("reuse")["reuse"]

        for cell in self._alive():
            # The floor hands out the same objects again whatever comes back: there is nothing to learn.
            if not cell.plan.backend.floor and not self._stopping():
                progress(f"reuse {cell.plan.backend.label}", 0)
                self._try(cell, reuse)

    def _calibrate(self, progress: Callable[[str, int], None]) -> None:
        """Finds how many units last as long as a sample should; this is the warm-up, too."""
        target = self.request.sample_ms * 1e6

        def calibrate(cell: _Running) -> None:
            elapsed = 0.0
            while elapsed < target / 2 and cell.units < MOST_UNITS and not self._stopping():
                elapsed = max(1.0, self._sample(cell)["elapsed_ns"])
                if elapsed < target / 2:
                    # A first sample is slow: grow in steps, so that it is not taken for the truth.
                    cell.units = max(cell.units + 1, int(cell.units * min(16.0, target / elapsed)))
            for _ in range(2):
                elapsed = max(1.0, self._sample(cell)["elapsed_ns"])
                cell.units = max(1, round(cell.units * target / elapsed))

        for cell in self._alive():
            progress(f"warm-up {cell.plan.backend.label}", 0)
            self._try(cell, calibrate)

    def _rounds(
        self, n: int, blocks: list[Block], keep: Callable[[_Running, int], None], progress: Callable[[str, int], None]
    ) -> None:
        """Adds n blocks, in each of which ``keep`` takes what every cell gives."""
        distance = self._distance()
        for block in range(n):
            cells = self._alive()
            self._cut_short = self._cut_short or self._stopping()
            if self._cut_short or self._only_floor_left(cells):
                return
            turn = block // 2 % len(cells)
            order = cells[turn:] + cells[:turn]
            for cell in reversed(order) if block % 2 else order:
                progress(cell.plan.backend.label, block)
                self._try(cell, lambda c, b=block: keep(c, b))  # type: ignore[misc]  # default binds b
            before, distance = distance, self._distance()
            blocks.append(Block(before, _moved(before, distance)))

    def _only_floor_left(self, alive: list[_Running]) -> bool:
        """Everything that the floor was to be compared with is lost."""
        return not alive or (
            all(cell.plan.backend.floor for cell in alive) and any(not cell.plan.backend.floor for cell in self._cells)
        )

    def _keep_latency(self, cell: _Running, block: int) -> None:
        cell.latency[block] = self._sample(cell, "latency")

    def _keep(self, cell: _Running, block: int) -> None:
        reply = self._sample(cell)
        if reply["ns"] <= 0:
            raise CellFailedError("the clock did not move during a sample: take longer ones with --sample-ms")
        if reply["disturbed"]:
            cell.disturbed[len(cell.samples)] = reply["disturbed"]
        cell.samples.append(reply["ns"])
        cell.blocks.append(block)
        cell.objects = reply["objects"]
        cell.failed_gets += reply["failed_gets"]
        cell.cpus.update(reply["cpus"])

    def _verify(self, progress: Callable[[str, int], None]) -> None:
        def verify(cell: _Running) -> None:
            for _ in range(VERIFY_SAMPLES):
                if self._stopping():
                    self._cut_short = True
                    return
                reply = self._sample(cell)
                cell.objects += reply["objects"]
                cell.failed_gets += reply["failed_gets"]
                cell.cpus.update(reply["cpus"])
                wanted = cell.units * VERIFY_MS * 1e6 / max(1.0, reply["elapsed_ns"])
                cell.units = max(1, min(64 * cell.units, int(wanted)))

        for cell in self._alive():
            progress(f"verify {cell.plan.backend.label}", 0)
            self._try(cell, verify)

    def _finish(self) -> None:
        def finish(cell: _Running) -> None:
            assert cell.process
            cell.closing = cell.process.request("finish")

        for cell in self._alive():
            self._try(cell, finish)

    def _distance(self) -> float | None:
        """The farthest pair of the CPUs in use, in ns; None for one actor, or when actors are left free."""
        cpus = sorted({cpu for cpu, _ in self.plan.cpus if cpu >= 0})
        if len(cpus) < 2 or self.request.verify:
            return None
        return max(core_distance(a, b) for a, b in combinations(cpus, 2))

    def _record(self, cell: _Running) -> MeasuredCell:
        backend, missing = cell.plan.backend, cell.plan.unavailable
        probes = {phase: dict(results) for phase, results in cell.closing.get("probes", {}).items()}
        attestation: dict[str, Any] = {}
        if cell.closing:
            pools = cell.closing["pools"]
            attestation = {
                "declared_pages": str(backend.pages),
                "process": cell.closing["facts"],
                "pools": pools,
                "cpus": sorted(cell.cpus),
                "failed_gets": cell.failed_gets,
                "stranded": cell.closing["stranded"],
                "notes": {
                    pool.name: note
                    for pool in self.plan.program.pools
                    if (note := check_cache(pool.cache, pools.get(pool.name, {})))
                },
            }
            for phase, results in probes.items():
                attestation[phase] = {name: results.pop(name) for name in ATTESTED if name in results}
        return MeasuredCell(
            case=self.plan.record.case,
            workload=self.plan.record.workload,
            parameters=self.plan.record.parameters,
            backend=backend.name,
            variant=backend.variant,
            floor=backend.floor,
            version=backend.version,
            status="unavailable" if missing or cell.refused else "failed" if cell.failure else "ok",
            reason=missing.reason if missing else cell.failure,
            fix=(missing.fix or None) if missing else None,
            objects=cell.objects,
            samples=cell.samples,
            blocks=cell.blocks,
            disturbed=cell.disturbed,
            attestation=attestation,
            probes=probes,
            setup_seconds=cell.setup_seconds,
            latency=merged(cell.latency, dominant_distance(self._latency_blocks).kept),
            reuse=cell.reuse,
        )


def _moved(before: float | None, after: float | None) -> bool:
    if before is None or after is None:
        return False
    return max(before, after) > DISTANCE_TOLERANCE * min(before, after)
