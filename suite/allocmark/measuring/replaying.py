# SPDX-License-Identifier: BSD-3-Clause
"""From a trace to cases: a recorded program is planned as a workload is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from allocmark.backend import Backend, Unavailable
from allocmark.errors import UsageError, show
from allocmark.measuring.case_plan import CasePlan
from allocmark.measuring.request import Request
from allocmark.passes.replayed import ReplayPass
from allocmark.plugins import Registered
from allocmark.results.records import PlannedCase, PlannedCell
from allocmark.system import machine
from allocmark.system.availability import memory_unavailable
from allocmark.traces.trace_file import Trace, TracePool
from allocmark.traces.trace_names import SET, SUFFIX, bundled_traces, is_trace
from allocmark.workload.tape.program import Program

PACES = ("full", "recorded")  #: as fast as possible, or each call when it was made
_EVENT_SECONDS = 1e-7  # what an event takes at full pace, roughly
_WORKER = "allocmark.measuring.replay_worker"


@dataclass(frozen=True)
class ReplayedProgram(Program):
    """A program whose calls are in the file ``trace``, with ``peak`` bytes alive and ``threads`` at once at most.
    ``classes``: what serves it on a backend with pools."""

    trace: str
    gaps: bool
    peak: int
    threads: int
    classes: tuple[TracePool, ...]

    @property
    def live_bytes(self) -> int:
        """Bytes of the objects that live at most."""
        return self.peak


def find_traces(name: str) -> list[str]:
    """The path of a trace that is named by its file, or is bundled and named without its suffix; those of all bundled
    ones for the name of their set. UsageError."""
    from allocmark.traces.mempools import is_dpdk_trace  # here: whoever plans a workload needs no reader of CTF

    if is_dpdk_trace(Path(name)):
        raise UsageError(
            f"{name}: a folder of a DPDK application: `allocmark record --dpdk {name}` makes a trace of it"
        )
    if found := [str(path) for path in bundled_traces() if name in (path.stem, SET)]:
        return found
    if not is_trace(name):
        known = ", ".join(path.stem for path in bundled_traces())
        raise UsageError(f"{name}: expected a trace, a file whose name ends with {SUFFIX}, or one of: {known}, {SET}")
    return [name if "/" in name else f"./{name}"]


def replay_cases(path: str, request: Request, registered: Sequence[Registered], first: int) -> list[CasePlan]:
    """The cases of a trace, numbered from ``first``: one for each pace that is asked for.

    TraceError for a file that is none. UsageError for what cannot be done with one.
    """
    if request.verify:
        raise UsageError(f"{path}: a trace cannot be verified: name a workload")
    if unknown := request.overrides.keys() - {"pace"}:
        raise UsageError(f"--set {min(unknown)}: a trace has one parameter, pace: {' or '.join(PACES)}")
    paces = request.overrides.get("pace", PACES[:1])
    if wrong := [pace for pace in paces if pace not in PACES]:
        raise UsageError(f"--set pace={wrong[0]}: found {show(wrong[0])}; expected {' or '.join(PACES)}")
    with Trace(Path(path)) as trace:
        trace.check()
        if not trace.about.objects:
            raise UsageError(f"{path}: nothing was allocated in it: record another program")
        if missing := memory_unavailable(trace.most_live_bytes):
            raise UsageError(f"{path}: {missing.reason}: end other programs, or replay it on a larger machine")
        pools = tuple(trace.pools())
        cells = tuple(replace(each, backend=_checked(each.backend, trace, pools)) for each in registered)
        usable = machine.usable_cpus()
        pinned = request.pin and trace.most_threads <= len(usable)
        cpus = [(cpu, machine.cpu_node(cpu)) for cpu in usable[: trace.most_threads]] if pinned else [(-1, -1)]
        digest = _digest(trace.path)
        common = (trace.most_live_bytes, trace.most_threads, pools)
        return [
            CasePlan(
                record=PlannedCase(
                    case=first + index,
                    workload=trace.name,
                    digest=digest,
                    parameters={"pace": pace},
                    actors=trace.most_threads,
                    cells=tuple(PlannedCell(c.backend.name, c.backend.variant, c.backend.floor) for c in cells),
                ),
                program=ReplayedProgram(trace.name, (), (), (), (), path, pace == PACES[1], *common),
                cells=cells,
                cpus=tuple(cpus),
                worker=_WORKER,
                passes=(ReplayPass(),),
                cell_seconds=trace.about.nanoseconds / 1e9 if pace == PACES[1] else trace.events * _EVENT_SECONDS,
            )
            for index, pace in enumerate(paces)
        ]


def _checked(backend: Backend, trace: Trace, pools: Sequence[TracePool]) -> Backend:
    if backend.unavailable or backend.floor or not (missing := _obstacle(backend, trace, pools)):
        return backend
    return replace(backend, table=None, load=None, unavailable=missing)


def _obstacle(backend: Backend, trace: Trace, pools: Sequence[TracePool]) -> Unavailable | None:
    has = backend.capabilities
    if trace.threads > 1 and not (has.thread_safe and has.cross_thread_free):
        return Unavailable(f"is for one thread, and the trace has {trace.threads}")
    if has.max_actors is not None and trace.most_threads > has.max_actors:
        return Unavailable(f"is for at most {has.max_actors} threads, and the trace has {trace.most_threads} at once")
    return None if has.any_size else memory_unavailable(sum(pool.bytes for pool in pools))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
