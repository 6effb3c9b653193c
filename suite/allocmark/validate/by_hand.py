# SPDX-License-Identifier: BSD-3-Clause
"""A pass that compares the engine with a loop as a person would write it, in the process of a cell."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from allocmark.errors import EngineError
from allocmark.passes.base import Reply, Sampler
from allocmark.passes.throughput import Throughput

if TYPE_CHECKING:
    from allocmark.engine.session import Engine
    from allocmark.workload.tape.program import Program

KEEP = 128  #: of the workload burst, which is the one that there is such a loop for


class ByHand(Throughput):
    """Pairs of a sample by the engine and as many bursts by hand: the same calls, on the same thread and pool."""

    name = "by_hand"

    def start(self, engine: Engine, program: Program, cpus: Sequence[tuple[int, int]]) -> Sampler:
        by_engine = super().start(engine, program, cpus)

        def sample(units: int) -> dict[str, Any]:
            taken = by_engine(units)
            by_hand = engine.reference_burst(round(program.bulk), KEEP, 0, units)
            if by_hand < 0:
                raise EngineError("the pool has too few objects for a loop by hand beside the workload")
            return {**taken, "by_hand": by_hand}

        return sample

    def merge(self, replies: Mapping[int, Reply], kept: Collection[int]) -> dict[str, Any]:
        members = super().merge(replies, kept)
        members["attestation"] |= {"by_hand": [reply["by_hand"] for reply in replies.values()]}
        return members
