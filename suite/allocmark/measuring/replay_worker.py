# SPDX-License-Identifier: BSD-3-Clause
"""The process of one cell of a trace, as `allocmark.measuring.serving` has it: it replays once, and tells."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from allocmark.engine.session import Engine
from allocmark.errors import AllocmarkError
from allocmark.measuring.attest import attest_library, builds, called_by, library_facts
from allocmark.measuring.serving import backend_of, reply, serve
from allocmark.passes.replayed import ReplayPass
from allocmark.probes.resident import of_process
from allocmark.traces.trace_file import Played, Trace, TracePool


def _serve(job: Mapping[str, Any], requests: TextIO, replies: TextIO) -> bool:
    begun = time.monotonic()
    backend, _ = backend_of(job)
    asked = job["program"]
    cpus = [cpu for cpu, _ in job["cpus"] if cpu >= 0]
    with Trace(Path(asked["trace"])) as trace:
        begun_with = of_process(os.getpid())
        reply(replies, setup_seconds=time.monotonic() - begun, layout={})
        for line in requests:
            if json.loads(line)["do"] == ReplayPass.name:
                played = trace.play(
                    None if backend.floor else backend.table,
                    [TracePool(**pool) for pool in asked["classes"]],
                    asked["threads"],
                    backend.options,
                    cpus,
                    gaps=asked["gaps"],
                    stall_seconds=job["engine"]["stall_seconds"],
                )
                reply(replies, **_told(played, asked["gaps"], backend.floor, [cpu for cpu, _ in job["cpus"]]))
                continue
            called = called_by(backend)
            if wrong := attest_library(backend, called):
                raise AllocmarkError(wrong)
            reply(
                replies,
                version=backend.version,
                facts=dict(backend.facts()) if backend.facts else {},
                library=library_facts(backend, called),
                builds=builds(backend, called),
                pools={},
                regions={},
                stranded={},
                probes={"start": {"memory": {"process": begun_with}}},
            )
            return True
    return False


def _told(played: Played, gaps: bool, floor: bool, cpus: list[int]) -> dict[str, Any]:
    return {
        "ns": played.ns / played.objects,
        "wall_ns": played.ns,
        "objects": played.objects,
        "failed_gets": 0,
        "cpus": cpus,
        "resident": max(played.resident),
        # The floor's objects are nobody's memory.
        "memory": None if floor else {"live": played.live, "resident": played.resident, "drained": played.drained},
        "late": played.late if gaps else [],
        "clock_ns": Engine.clock_ns() if gaps else 0.0,
    }


if __name__ == "__main__":
    sys.exit(serve(_serve))
