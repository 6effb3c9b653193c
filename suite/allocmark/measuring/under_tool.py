# SPDX-License-Identifier: BSD-3-Clause
"""One cell's process under a tool that has the terminal: a debugger, valgrind, the run time of a sanitizer."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from allocmark.discovery import discover
from allocmark.engine.guard import Ending
from allocmark.errors import UsageError
from allocmark.measuring.plan import make_plan
from allocmark.measuring.process import CellFailedError, CellProcess
from allocmark.measuring.request import Request
from allocmark.measuring.schedule import CaseRun

PATIENCE = 1e6  #: seconds without an answer: a person may be looking at it


class ToolProcess(CellProcess):
    """A worker that a tool starts. It stays in the terminal's session, and nothing ends it but itself and the tool."""

    def __init__(
        self, tool: Sequence[str], job: Mapping[str, Any], environ: Mapping[str, str], timeout: float, module: str
    ) -> None:
        self._tool = tool
        unhurried = {**job["engine"], "stall_seconds": PATIENCE}
        super().__init__({**job, "engine": unhurried}, environ, PATIENCE, module)

    def _started(self, worker: Sequence[str], report: int, **settings: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*self._tool, *worker], **settings)

    def _end(self, patience: float) -> Ending:
        return Ending(self._process.wait())


def run_under(tool: str, request: Request) -> str:
    """Run the one cell of ``request`` once under ``tool``, a command line, and return its name.

    Its figures mean nothing there, so none are kept. Raises UsageError when there is more than one cell, or it cannot
    run here, and CellFailedError with the cause when the process failed.
    """
    command = _command(tool)
    request = replace(request, passes=(), blocks=1)
    plan = make_plan(request, discover(), floor=False)
    backends = len({cell.backend.label for case in plan.cases for cell in case.cells})
    if len(plan.cases) != 1 or backends != 1:
        raise UsageError(
            f"--under runs one process, and this is more (cases: {len(plan.cases)}, backends: {backends}): choose a "
            "case with --set KEY=VALUE (`allocmark workloads show WORKLOAD` lists them) and a backend with -b"
        )
    (case,) = plan.cases
    label = case.cells[0].backend.label
    if missing := case.cells[0].backend.unavailable:
        raise UsageError(f"{label} cannot run here: {missing.reason}")
    # Ctrl-C is for the tool. Not SIG_IGN, which the tool would inherit.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        running = CaseRun(case, request, 0, process=partial(ToolProcess, command))
        finished = running.run(lambda _: None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert finished  # only a stopped round has nothing to keep
    if finished.cells[0].status != "ok":
        raise CellFailedError(f"{label}: {finished.cells[0].reason}")
    return f"{case.record.title}, {label}"


def _command(tool: str) -> list[str]:
    try:
        command = shlex.split(tool)
    except ValueError as error:
        raise UsageError(f"--under {tool}: {error}") from error
    if not command or shutil.which(command[0]) is None:
        raise UsageError(f"--under {tool}: no such command; install it, or give its path")
    return command
