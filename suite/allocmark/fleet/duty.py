# SPDX-License-Identifier: BSD-3-Clause
"""What a machine of a fleet is asked to do: say what it is, say what it would measure, or measure one case.

`perform` runs in a worker of Dask. The work itself has a process of its own, ``python -m allocmark.fleet.duty PARENT``,
with the duty on its standard input and the answer on its standard output, as JSON: measuring needs a main thread, and
ends when the worker is killed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

import allocmark
from allocmark.discovery import discover
from allocmark.engine.guard import guarded
from allocmark.errors import AllocmarkError
from allocmark.measuring import runner
from allocmark.measuring.estimate import case_seconds
from allocmark.measuring.plan import Plan
from allocmark.measuring.request import Request
from allocmark.measuring.single import MEASURING_VERSION
from allocmark.system import machine

_LAST_WORDS = 300  # characters


def perform(duty: Mapping[str, Any]) -> dict[str, Any]:
    """Do it, and answer: with ``error``, one line, where it cannot be done."""
    command = [sys.executable, "-P", "-m", __name__, str(os.getpid())]
    done = subprocess.run(command, input=json.dumps(duty).encode(), capture_output=True)
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer
    except ValueError:
        said = " ".join(done.stderr.decode(errors="replace").split())[-_LAST_WORDS:]
        return {"error": f"its process ended with status {done.returncode}{': ' if said else ''}{said}"}


def versions() -> dict[str, Any]:
    """What must be the same on all machines."""
    return {"allocmark": allocmark.__version__, "measuring": MEASURING_VERSION}


def _describe(request: Request, baseline: str | None) -> dict[str, Any]:
    """The machine, and a digest of the cases that it would measure, which are the same on most."""
    plan = runner.planned(request, discover(), baseline)
    cases = json.dumps(_records(plan))
    return {
        "versions": versions(),
        "machine": machine.facts()["machine"],
        "plan": hashlib.sha256(cases.encode()).hexdigest(),
        "left_out": list(plan.left_out),
    }


def _cases(request: Request, baseline: str | None) -> dict[str, Any]:
    """The cases that the machine would measure, and the longest that each may take."""
    plan = runner.planned(request, discover(), baseline)
    return {
        "cases": _records(plan),
        "seconds": [case_seconds(case, request, request.rounds) for case in plan.cases],
    }


def _records(plan: Plan) -> list[Any]:
    return [msgspec.to_builtins(case.record) for case in plan.cases]


def _measure(request: Request, baseline: str | None, title: str, ratios: int) -> dict[str, Any]:
    """The run file of one case. Its verdicts share the error with all ``ratios`` of the fleet."""
    host = discover()
    found = [case for case in runner.planned(request, host, baseline).cases if case.record.title == title]
    if not found:
        raise AllocmarkError(f"{title} is no longer among its cases")
    plan = Plan((replace(found[0], record=replace(found[0].record, case=0)),), ())
    with tempfile.TemporaryDirectory(prefix="allocmark-") as folder:
        writer = runner.open_run(plan, request, Path(folder), sys.argv, baseline)
        with writer:
            run = runner.execute(plan, request, host, writer, lambda _: None, ratios)
        return {"run": base64.b85encode(run.path.read_bytes()).decode()}


def run_file(answer: Mapping[str, Any]) -> bytes:
    """The run file in the answer to a duty that measures."""
    return base64.b85decode(answer["run"])


def _main() -> None:
    guarded(int(sys.argv[1]))
    duty = json.load(sys.stdin)
    # What a library prints must not get into the answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    request, baseline = Request.from_json(duty["request"]), duty["baseline"]
    try:
        if duty["do"] == "describe":
            answer = _describe(request, baseline)
        elif duty["do"] == "cases":
            answer = _cases(request, baseline)
        else:
            answer = _measure(request, baseline, duty["title"], duty["ratios"])
    except AllocmarkError as error:
        answer = {"error": str(error)}
    with answers:
        json.dump(answer, answers)


if __name__ == "__main__":
    _main()
