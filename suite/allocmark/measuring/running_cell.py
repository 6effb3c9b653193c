# SPDX-License-Identifier: BSD-3-Clause
"""One cell in flight: its process from start to stop, what passes found there, and its record in the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from allocmark.engine.session import STALL_SECONDS
from allocmark.errors import AllocmarkError
from allocmark.measuring.attest import check_cache, check_cpus, check_gets, check_growth, check_regions, growth
from allocmark.measuring.case_plan import CasePlan
from allocmark.measuring.draws import Draw
from allocmark.measuring.process import CellProcess, CellRefusedError
from allocmark.measuring.request import Request
from allocmark.measuring.serving import job_of
from allocmark.passes.base import Pass, Reply
from allocmark.plugins import Entry, Registered
from allocmark.results.records import MeasuredCell, cell_from

ATTESTED = ("pages", "numa")  #: probes that say what was really on


class RunningCell:
    """A backend variant in a case and a round. What goes wrong here is this cell's failure, and costs no other.

    ``draw`` is where its layout in memory comes from. ``units`` are those that its last process took; ``failure`` is
    set from the beginning for a cell that is not tried again.
    """

    def __init__(
        self, case: CasePlan, registered: Registered, draw: Draw, units: int = 1, failure: str | None = None
    ) -> None:
        self.backend = registered.backend
        self.units = units
        self.failure = failure
        self.refused = False  #: the backend would not be set up as asked, rather than do wrong
        self.measured_seconds = 0.0
        self._case = case
        self._registered = registered
        self._process: CellProcess | None = None
        self._draw = draw
        self._layout: Mapping[str, Any] | None = None
        self._replies: dict[Pass, dict[int, Reply]] = {}
        self._setup_seconds = 0.0
        self._closing: Mapping[str, Any] = {}

    @property
    def alive(self) -> bool:
        """Whether it can still be asked for something."""
        return self._process is not None and self.failure is None

    def start(
        self,
        request: Request,
        passes: Sequence[Pass],
        probe_plugins: Sequence[Entry],
        process: Callable[[Mapping[str, Any], Mapping[str, str], float, str], CellProcess] = CellProcess,
    ) -> None:
        """Start its process. It is set up only when `await_ready` returns, so that cells are set up side by side."""
        options: dict[str, Any] = {
            "stall_seconds": min(STALL_SECONDS, request.timeout / 2),
            "layout_seed": self._draw.engine,
        }
        for each in passes:
            options |= each.engine_options(request.sample_ms)
        job = {
            **job_of(self._registered, probe_plugins),
            "program": self._case.program.to_json(),
            "cpus": self._case.cpus,
            "engine": options,
            "passes": [(type(each).__module__, type(each).__qualname__) for each in passes],
        }

        with self._own_failure():
            if not (self.backend.unavailable or self.failure):
                environ = {**self._draw.environ(), **self.backend.environ}
                self._process = process(job, environ, request.timeout, self._case.worker)

    def await_ready(self) -> None:
        """Wait until it is set up."""
        with self._own_failure():
            ready = self._running.ready()
            self._setup_seconds = ready["setup_seconds"]
            self._layout = ready["layout"]

    def warm_up(self, each: Pass, sample_ms: float, stopping: Callable[[], bool]) -> None:
        """What a pass does before its first block."""
        with self._own_failure():
            self.units = each.warm_up(lambda units: self._ask(each, units), self.units, sample_ms, stopping)

    def move(self, each: Pass, block: int) -> None:
        """Draw the layout of a block, if the pass does; that of the first is where the process began."""
        if each.moves and block:
            with self._own_failure():
                self._running.request("move", layout_seed=self._draw.of_block(block))

    def take(self, each: Pass, block: int) -> None:
        """Its part of a block."""
        with self._own_failure():
            reply = self._ask(each, self.units)
            self.units = each.next_units(self.units, reply)
            self._replies.setdefault(each, {})[block] = reply

    def finish(self) -> None:
        """Look at everything once more, and clean up. Done when `await_finished` returns: cells do it side by side."""
        self._running.send("finish")

    def await_finished(self) -> None:
        """Wait for what it found."""
        with self._own_failure():
            self._closing = self._running.receive("finish")

    def stop(self) -> None:
        """End its process, whatever state it is in."""
        if self._process:
            self._process.stop()

    @property
    def _running(self) -> CellProcess:
        assert self._process  # else it is not alive
        return self._process

    @contextmanager
    def _own_failure(self) -> Iterator[None]:
        try:
            yield
        except AllocmarkError as failure:
            self.failure = str(failure)
            self.refused = isinstance(failure, CellRefusedError)

    def _ask(self, each: Pass, units: int) -> Reply:
        begun = time.monotonic()
        try:
            return self._running.request(each.name, units=units)
        finally:
            if each.timed:
                self.measured_seconds += time.monotonic() - begun

    def record(self, kept: Mapping[Pass, Collection[int]]) -> MeasuredCell:
        """What it gave in the blocks of each pass, of which those are ``kept``."""
        planned, missing = self._case.record, self.backend.unavailable
        members: dict[str, Any] = {
            **vars(planned),
            "backend": self.backend.name,
            "variant": self.backend.variant,
            "floor": self.backend.floor,
            "version": self.backend.version,
            "status": "unavailable" if missing or self.refused else "failed" if self.failure else "ok",
            "reason": missing.reason if missing else self.failure,
            "fix": (missing.fix or None) if missing else None,
            "objects": 0,
            "samples": (),
            "blocks": (),
            "attestation": {},
            "setup_seconds": self._setup_seconds,
            "layouts": []
            if self._layout is None
            else [{"round": self._draw.round, **self._draw.drawn(), **self._layout}],
        }
        for each, blocks in kept.items():
            members |= each.merge(self._replies.get(each, {}), blocks)
        probes = {phase: dict(results) for phase, results in self._closing.get("probes", {}).items()}
        members["attestation"] = self._attestation(members["attestation"], probes) if self._closing else {}
        return cell_from(members | {"probes": probes})

    def _attestation(self, conditions: Mapping[str, Any], probes: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """What was really on. Takes what belongs here out of ``probes``."""
        pools = self._closing["pools"]
        program = self._case.program
        notes: dict[str, str] = {}
        for pool in program.pools:
            found = (
                check_cache(pool.cache, pools.get(pool.name, {})),
                check_regions(self._closing["regions"][pool.name]),
            )
            notes[pool.name] = "; ".join(filter(None, found))
        taken = [reply for each, by in self._replies.items() if each.gives_samples for reply in by.values()]
        gets = sum(reply["objects"] for reply in taken) / program.bulk if program.bulk else 0.0
        resident = [reply["resident"] for reply in taken]
        of_all = (
            check_cpus([cpu for cpu, _ in self._case.cpus], [reply["cpus"] for reply in taken]),
            check_gets(sum(reply["failed_gets"] for reply in taken), gets),
            check_growth(resident, program.live_bytes),
        )
        notes[""] = "; ".join(filter(None, of_all))
        return {
            "declared_pages": str(self.backend.pages),
            "process": self._closing["facts"],
            "library": self._closing["library"],
            "builds": self._closing["builds"],
            "pools": pools,
            **conditions,
            "stranded": self._closing["stranded"],
            "live_bytes": program.live_bytes,
            "growth_bytes": growth(resident),
            "notes": {name: note for name, note in notes.items() if note},
            **{
                phase: {name: results.pop(name) for name in ATTESTED if name in results}
                for phase, results in probes.items()
                if any(name in results for name in ATTESTED)
            },
        }
