# SPDX-License-Identifier: BSD-3-Clause
"""The verifying mode: the engine stamps and checks every object, and nothing is timed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from allocmark.passes.base import Pass, Reply, Sampler
from allocmark.passes.throughput import conditions, sampler

if TYPE_CHECKING:
    from allocmark.engine.session import Engine
    from allocmark.workload.tape.program import Program

SAMPLES = 3
SAMPLE_MS = 200.0  #: that the last ones should take


class Verify(Pass):
    """A few samples, each longer than the one before. What is wrong ends the cell, and the reason is its result."""

    name = "verify"
    timed = False

    def engine_options(self, sample_ms: float) -> dict[str, Any]:
        return {"verify": True}

    def start(self, engine: Engine, program: Program, cpus: Sequence[tuple[int, int]]) -> Sampler:
        return sampler(engine, cpus)

    def blocks(self, wanted: int) -> int:
        return SAMPLES

    def next_units(self, units: int, reply: Reply) -> int:
        wanted = units * SAMPLE_MS * 1e6 / max(1.0, reply["wall_ns"])
        return max(1, min(64 * units, int(wanted)))

    def merge(self, replies: Mapping[int, Reply], kept: Collection[int]) -> dict[str, Any]:
        return {
            "objects": sum(reply["objects"] for reply in replies.values()),
            "attestation": conditions(replies.values()),
        }
