# SPDX-License-Identifier: BSD-3-Clause
"""What the addresses that a backend hands out cost by themselves: the same workload on a pool that hands out the same
ones and does nothing else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from allocmark.errors import AllocmarkError
from allocmark.passes.base import LARGEST, Figures, PassColumn, Reply, Sampler, TablePass
from allocmark.passes.throughput import moved_sample, sampler, units_for
from allocmark.stats import median

if TYPE_CHECKING:
    from allocmark.engine.session import Engine
    from allocmark.workload.tape.program import Program

FEWEST_GETS = 1 << 16  #: objects that are recorded per actor: as many as the pools have, within these two
MOST_GETS = 1 << 20
LONGEST = 10  #: samples that recording may take


@dataclass(frozen=True)
class Placement(Figures):
    """One cell's replay.

    ``ns_per_object`` has a figure for each kept block, the floor included, and ``rounds`` their median by round where
    there are several. ``pages`` are the kinds of pages that the
    objects were laid out on, ``objects`` how many there were. ``reason`` says why there are no figures, or on what else
    than in the backend the objects lay; "" when all is as it should be.
    """

    ns_per_object: Sequence[float]
    pages: str
    objects: int
    reason: str
    rounds: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(0 <= ns < LARGEST for ns in self.ns_per_object):
            raise ValueError(f"ns_per_object holds numbers that are not from 0 to {LARGEST:.0g}")

    def median_ns(self) -> float | None:
        """ns per object; None when nothing was measured."""
        return median(self.ns_per_object) if self.ns_per_object else None


class PlacementPass(TablePass[Placement]):
    """Blocks of its own after all samples.

    What the backend hands out is recorded when the first sample is asked for, when the backend's own are done: so
    nothing of this is there while they are taken.
    """

    name = "placement"
    most_rounds = 6  # the fewest with an interval of 95 %; each takes longer than the samples
    help = "do not measure what the addresses that a backend hands out cost by themselves"
    record = Placement
    title = "the same addresses without the backend"
    columns = (
        PassColumn("ns/object", Placement.median_ns, "{:.3g}".format, "-", "placement_ns"),
        PassColumn("objects", lambda record: record.objects or None, "{:,}".format, "-"),
    )

    def start(self, engine: Engine, program: Program, cpus: Sequence[tuple[int, int]]) -> Sampler:
        """Nothing is recorded of the floor, which has addresses of its own making."""
        if engine.floor:
            return lambda units: {}
        ready: list[Sampler] = []

        def sample(units: int) -> Reply:
            try:
                ready[:] = ready or [_replaying(engine, program, cpus, units)]
                return ready[0](units)
            except AllocmarkError as error:  # it costs this figure, and not the cell
                reason = {"reason": str(error)}
                ready[:] = [lambda units: reason]
                return reason

        return sample

    def warm_up(self, sample: Sampler, units: int, sample_ms: float, stopping: Callable[[], bool]) -> int:
        """The units stay those of the backend: the replay has its own, which its process keeps."""
        sample(units)
        return units

    def blocks(self, wanted: int) -> int:
        """Half as many: each takes longer than a sample of the backend's, for the move of the replay."""
        return -(-wanted // 2)

    def merge(self, replies: Mapping[int, Reply], kept: Collection[int]) -> dict[str, Any]:
        taken = {block: reply for block, reply in replies.items() if reply}
        if not taken:
            return {}
        last = taken[max(taken)]
        figures = {
            "ns_per_object": [reply["ns"] for block, reply in taken.items() if block in kept and "ns" in reply],
            "pages": last.get("pages", ""),
            "objects": last.get("objects", 0),
            "reason": last["reason"],
        }
        return {self.name: figures}

    def combine(self, records: Mapping[int, Placement]) -> Placement:
        """The figures of all rounds, with what else the first one found."""
        return replace(
            records[min(records)],
            ns_per_object=[ns for each in records.values() for ns in each.ns_per_object],
            rounds={number: ns for number, each in records.items() if (ns := each.median_ns()) is not None},
        )

    def note(self, records: Sequence[Placement]) -> str:
        reasons = sorted({record.reason for record in records if record.reason})
        text = (
            "The workload on a pool that hands out the addresses that the backend did, in the same order and on the "
            "same kind of pages, and does nothing else. What is above the floor is what these addresses cost; the rest "
            "of the backend's ns/object is its own work."
        )
        return " ".join([text, *(f"Not everywhere: {reason}." for reason in reasons)])


def _replaying(engine: Engine, program: Program, cpus: Sequence[tuple[int, int]], units: int) -> Sampler:
    """Samples of the replay, as long as ``units`` of the backend."""
    gets = min(MOST_GETS, max(FEWEST_GETS, sum(pool.objects for pool in program.pools)))
    per_unit = min(actor.objects * actor.iterations for actor in program.actors if actor.objects)
    replay = engine.replay(min(-(-gets // per_unit), LONGEST * units), gets)
    replay.settle()
    take = sampler(replay, cpus)
    own = units_for(take, units, engine.sample(units).wall_ns)
    found = {"pages": replay.pages, "objects": replay.distinct, "reason": replay.note}

    def sample(_: int) -> Reply:
        """Each from another place, as the engine's own samples are."""
        return {"ns": moved_sample(replay, take, replay.layout_seed + 1, own)["ns"], **found}

    return sample
