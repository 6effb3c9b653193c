# SPDX-License-Identifier: BSD-3-Clause
"""Runs a request from beginning to end into a run file."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from allocmark.errors import RunFileError
from allocmark.measuring.cpu_watch import watch
from allocmark.measuring.estimate import check_budget, round_seconds
from allocmark.measuring.open_case import OpenCase
from allocmark.measuring.plan import Plan, make_plan, select_backends
from allocmark.measuring.request import Request
from allocmark.measuring.schedule import Progress
from allocmark.measuring.single import MEASURING_VERSION
from allocmark.plugins import BUILTIN, Host
from allocmark.results.records import RecordError, RunHeader
from allocmark.results.store import Run, RunWriter, fresh_folder, read_run
from allocmark.results.summary import check_baseline, ratios_of
from allocmark.stats import MOST_PER_USABLE, least_rounds
from allocmark.system import machine
from allocmark.system import machine_checks as doctor

Reporter = Callable[[Progress], None]

MOST_OVERTIME = 4  #: times its budget that a run may take, where others use the cores
LONG_WAITING = 5.0  #: seconds that a run waits for CPUs before it says so


def start(
    request: Request, host: Host, directory: Path | None, argv: Sequence[str], baseline: str | None
) -> tuple[Plan, RunWriter]:
    """Plan a request and open its run file, in `fresh_folder` where no ``directory`` is given.

    Nothing is written when the request cannot be run.
    """
    plan = planned(request, host, baseline)
    return plan, open_run(plan, request, directory or fresh_folder(), argv, baseline)


def open_run(plan: Plan, request: Request, directory: Path, argv: Sequence[str], baseline: str | None) -> RunWriter:
    """A new run file for what is planned."""
    header = RunHeader(
        id=uuid.uuid4().hex[:12],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        argv=[each.encode(errors="backslashreplace").decode() for each in argv],
        seed=request.seed,
        baseline=baseline,
        environment=machine.facts()
        | {"doctor": doctor.as_json(doctor.checks()), "variables": machine.malloc_variables()},
        settings=request.to_json() | {"left_out": list(plan.left_out), "measuring": MEASURING_VERSION},
        plan=tuple(case.record for case in plan.cases),
    )
    return RunWriter.create(directory, header)


def planned(request: Request, host: Host, baseline: str | None) -> Plan:
    """The plan of a request that can be run. UsageError for one that cannot."""
    if baseline and not request.verify:
        labels = [registered.backend.label for registered in select_backends(host, request)]
        check_baseline(baseline, labels, "one of what is measured")
    plan = make_plan(request, host)
    check_budget(plan.cases, request)
    return plan


def resume(host: Host, directory: Path) -> tuple[Plan, RunWriter, Request]:
    """Open a run file to finish it, as it was asked for.

    Rounds are added where it stopped, with the layouts that they would have had. A case with a failed cell is measured
    again.
    """
    header = read_run(directory).header
    if "rounds" not in header.settings:
        raise RunFileError(f"{directory}: was begun by an older allocmark, which knew no rounds: start a new run")
    if header.settings.get("measuring") != MEASURING_VERSION:
        raise RunFileError(f"{directory}: was begun by an allocmark that measured otherwise: start a new run")
    if machine.facts()["machine"] != header.environment.get("machine"):
        raise RunFileError(f"{directory}: was begun on another machine: start a new run here")
    begun_with, now = header.environment.get("variables"), machine.malloc_variables()
    begun_with = begun_with if isinstance(begun_with, dict) else {}
    if changed := [name for name in {**begun_with, **now} if begun_with.get(name) != now.get(name)]:
        raise RunFileError(
            f"{directory}: was begun with another value of {', '.join(changed)}: set it as it was, or start a new run"
        )
    try:
        request = Request.from_json(header.settings)
    except RecordError as error:
        raise RunFileError(f"{directory}: its settings cannot be used ({error}): start a new run") from error
    plan = make_plan(request, host)
    if tuple(case.record for case in plan.cases) != header.plan:
        raise RunFileError(
            f"{directory}: cannot be resumed: its workloads, backends or this machine's cores have changed since; "
            "start a new run"
        )
    return plan, RunWriter.resume(directory), request


def execute(
    plan: Plan, request: Request, host: Host, writer: RunWriter, report: Reporter, ratios: int | None = None
) -> Run:
    """Add rounds to every case in turn, until all verdicts are certain, or rounds or budget are spent.

    So many ``ratios`` share the error that is allowed; None: those of this run.

    Ctrl-C ends the run and keeps every round that is complete.
    """
    begun, waited = time.monotonic(), watch.waited
    measured = 0.0
    probe_plugins = sorted({entry for _, entry in host.probes} - {BUILTIN})
    ratios = ratios or ratios_of(writer.header.plan)
    cases = [
        OpenCase(case, request, writer.header.baseline, ratios, writer.rounds_of(case.record.case))
        for case in plan.cases
    ]
    clock = _Clock(cases, request, least_rounds(ratios), writer.seconds)
    with _Interrupt() as interrupt:
        while open_cases := [case for case in cases if not case.done and clock.has_room(case)]:
            for case in open_cases:
                if interrupt.requested():
                    break
                if not clock.has_room(case):
                    continue

                def tell(doing: str, case: OpenCase = case) -> None:
                    title = f"{case.plan.record.title}, round {len(case.rounds) + 1}"
                    slowed = clock.makes_up(case) or watch.waited - waited > LONG_WAITING
                    report(Progress(clock.done, title, doing, clock.left, slowed))

                record = case.next_round(probe_plugins, interrupt.requested, tell)
                if record is None:
                    break
                measured += record.measured_seconds
                case.add(writer.write_round(record))
            else:
                continue
            break
    writer.end(time.monotonic() - begun, measured, interrupt.requested())
    writer.close()
    return read_run(writer.path)


class _Clock:
    """How much of a run is over, and how long the rest takes at most."""

    def __init__(self, cases: Sequence[OpenCase], request: Request, least: int, before: float) -> None:
        """``least``: rounds that a verdict takes. ``before``: seconds that the run took until it was stopped."""
        self._cases = cases
        self._budget = request.budget
        self._least = least
        self._begun = time.monotonic() - before
        self._request = request

    @property
    def _spent(self) -> float:
        return time.monotonic() - self._begun

    @property
    def left(self) -> float:
        """Seconds."""
        rest = sum(case.rounds_left * self._seconds(case) for case in self._cases)
        return rest if self._budget is None else max(0.0, min(rest, self._budget - self._spent))

    @property
    def done(self) -> float:
        """A share."""
        return self._spent / (self._spent + self.left or 1.0)

    def has_room(self, case: OpenCase) -> bool:
        """Whether the budget has room for one more round of ``case``, or that has too few for a verdict.

        Rounds in place of those that were set aside have `MOST_OVERTIME` times the budget.
        """
        if self._budget is None or len(case.rounds) < self._least:
            return True
        most = MOST_OVERTIME * self._budget if self._has_too_few_usable(case) else self._budget
        return self._spent + self._seconds(case) <= most

    def makes_up(self, case: OpenCase) -> bool:
        """Whether ``case`` has had its rounds or its time, and others follow in place of those that were set aside."""
        had = len(case.rounds) >= self._request.rounds or (self._budget is not None and self._spent > self._budget)
        return had and case.set_aside > 0

    def _has_too_few_usable(self, case: OpenCase) -> bool:
        return not case.done and case.usable < self._least and len(case.rounds) < MOST_PER_USABLE * self._least

    def _seconds(self, case: OpenCase) -> float:
        return case.round_seconds or round_seconds(case.plan, self._request)


class _Interrupt:
    """The first Ctrl-C asks the run to stop after the current sample; the second raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self._requested = False
        self._before: Any = None

    def requested(self) -> bool:
        """Whether to stop."""
        return self._requested

    def __enter__(self) -> _Interrupt:
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _note(self, *_: object) -> None:
        if self._requested:
            raise KeyboardInterrupt
        self._requested = True
