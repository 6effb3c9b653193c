# SPDX-License-Identifier: BSD-3-Clause
"""The process of one backend in a case, as `allocmark.measuring.serving` has it: a request names the size of the
caches, the last one none."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TextIO

from allocmark.engine import end_backend
from allocmark.measuring.serving import backend_of, reply, serve
from allocmark.sizing.counter import count_cell
from allocmark.workload.tape.program import Program


def _serve(job: Mapping[str, Any], requests: TextIO, replies: TextIO) -> bool:
    program = Program.from_json(job["program"])
    backend, _ = backend_of(job)
    reply(replies)
    try:
        for line in requests:
            request = json.loads(line)
            if request["do"] == "finish":
                reply(replies)
                return True
            pools = tuple(replace(pool, cache=request["cache"]) for pool in program.pools)
            reply(replies, **count_cell(backend, replace(program, pools=pools), job["cpus"]))
    finally:
        end_backend()
    return False


if __name__ == "__main__":
    sys.exit(serve(_serve))
