# SPDX-License-Identifier: BSD-3-Clause
"""Runs a request from beginning to end into a run file."""

from __future__ import annotations

import os
import re
import signal
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from allocmark.errors import RunFileError
from allocmark.measuring.plan import Plan, make_plan, select_backends
from allocmark.measuring.request import Request
from allocmark.measuring.schedule import CaseRun, Progress
from allocmark.plugins import BUILTIN, Host
from allocmark.results.records import PlannedCase, RecordError, RunHeader
from allocmark.results.store import Run, RunWriter, fresh_folder, read_run
from allocmark.results.summary import check_baseline
from allocmark.system import machine
from allocmark.system import machine_checks as doctor

# Variables with which the loader or glibc's malloc works otherwise, in every process that inherits them.
_CHANGES_MALLOC = re.compile(r"LD_PRELOAD|GLIBC_TUNABLES|MALLOC_\w*")

Reporter = Callable[[Progress], None]


def start(
    request: Request, host: Host, directory: Path | None, argv: Sequence[str], baseline: str | None
) -> tuple[Plan, RunWriter]:
    """Plan a request and open its run file, in `fresh_folder` where no ``directory`` is given.

    Nothing is written when the request cannot be run.
    """
    if baseline and not request.verify:
        labels = [registered.backend.label for registered in select_backends(host, request.backends)]
        check_baseline(baseline, labels, "one of what is measured")
    plan = make_plan(request, host)
    header = RunHeader(
        id=uuid.uuid4().hex[:12],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        argv=list(argv),
        seed=request.seed,
        baseline=baseline,
        environment=machine.facts() | {"doctor": doctor.as_json(doctor.checks()), "variables": _variables()},
        settings=request.to_json() | {"left_out": list(plan.left_out)},
        plan=tuple(case.record for case in plan.cases),
    )
    return plan, RunWriter.create(directory or fresh_folder(), header)


def _variables() -> dict[str, str]:
    return {name: value for name, value in sorted(os.environ.items()) if value and _CHANGES_MALLOC.fullmatch(name)}


def resume(host: Host, directory: Path) -> tuple[Plan, RunWriter, Request]:
    """Open a run file to finish it, as it was asked for.

    What a stopped run had begun is measured again, and so are cases with a failed cell.
    """
    header = read_run(directory).header
    if machine.facts()["machine"] != header.environment.get("machine"):
        raise RunFileError(f"{directory}: was begun on another machine: start a new run here")
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


def execute(plan: Plan, request: Request, host: Host, writer: RunWriter, report: Reporter) -> Run:
    """Run every case that the file does not have yet. Ctrl-C ends the run and keeps what is measured."""
    begun = time.monotonic()
    measured = 0.0
    probe_plugins = sorted({plugin for _, plugin in host.probes} - {BUILTIN})
    with _Interrupt() as interrupt:
        for case in plan.cases:
            if interrupt.requested():
                break
            record = case.record
            if record.case in writer.done:
                continue
            running = CaseRun(case, request, probe_plugins, interrupt.requested)

            def tell(cell: str, block: int, record: PlannedCase = record) -> None:
                report(Progress(record.case, len(plan.cases), record.title, cell, block, request.blocks))

            finished = running.run(tell)
            measured += running.measured_seconds
            if finished:
                writer.write_case(finished)
    writer.end(time.monotonic() - begun, measured, interrupt.requested())
    writer.close()
    return read_run(writer.path)


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
