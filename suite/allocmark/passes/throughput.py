# SPDX-License-Identifier: BSD-3-Clause
"""The samples: how long a stretch of the workload takes, per object."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from allocmark.errors import AllocmarkError
from allocmark.passes.base import Pass, Reply, Sampler

if TYPE_CHECKING:
    from allocmark.engine.session import ActorSample, Engine
    from allocmark.workload.tape.program import Program

LONGEST_SAMPLE = 10  #: a sample that lasts this many times as long as it should is ended
MOST_UNITS = 1 << 40
WARM_UP = 8  #: part of a sample that follows a move and is not told
MOST_WAITED = 0.01  #: share of a sample that an actor may have had no CPU


class Throughput(Pass):
    """Samples of equal length. They are the cell's own figures, not a record beside them."""

    name = "sample"
    gives_samples = True
    moves = True

    def engine_options(self, sample_ms: float) -> dict[str, Any]:
        """Ends a sample that takes far too long: some allocators are a thousand times slower now and then."""
        return {"limit_seconds": LONGEST_SAMPLE * sample_ms / 1e3}

    def start(self, engine: Engine, program: Program, cpus: Sequence[tuple[int, int]]) -> Sampler:
        return sampler(engine, cpus)

    def warm_up(self, sample: Sampler, units: int, sample_ms: float, stopping: Callable[[], bool]) -> int:
        return units_for(sample, units, sample_ms * 1e6, stopping)

    def blocks(self, wanted: int) -> int:
        return wanted

    def next_units(self, units: int, reply: Reply) -> int:
        if reply["ns"] <= 0:
            raise AllocmarkError("the clock did not move during a sample: take longer ones with --sample-ms")
        return units

    def merge(self, replies: Mapping[int, Reply], kept: Collection[int]) -> dict[str, Any]:
        """All samples, those of blocks that are not kept as well: the statistics leave these out."""
        return {
            "objects": replies[max(replies)]["objects"] if replies else 0,
            "samples": [reply["ns"] for reply in replies.values()],
            "blocks": list(replies),
            "disturbed": {i: reply["disturbed"] for i, reply in enumerate(replies.values()) if reply["disturbed"]},
            "attestation": conditions(replies.values()),
        }


def units_for(sample: Sampler, units: int, ns: float, stopping: Callable[[], bool] = lambda: False) -> int:
    """How many units last for ``ns``: found by samples, beginning with ``units``."""
    elapsed = 0.0
    while elapsed < ns / 2 and units < MOST_UNITS and not stopping():
        elapsed = max(1.0, sample(units)["wall_ns"])
        if elapsed < ns / 2:
            # A first sample is slow: grow in steps, so that it is not taken for the truth.
            units = max(units + 1, int(units * min(16.0, ns / elapsed)))
    for _ in range(2):
        elapsed = max(1.0, sample(units)["wall_ns"])
        units = max(1, round(units * ns / elapsed))
    return units


def sampler(engine: Engine, cpus: Sequence[tuple[int, int]]) -> Sampler:
    """In the process of a cell: takes a sample, and says what may have disturbed it."""
    from allocmark.system.machine import resident_bytes, steal_ticks

    used = sorted({cpu for cpu, _ in cpus if cpu >= 0})

    def sample(units: int) -> dict[str, Any]:
        stolen = steal_ticks(used)
        taken = engine.sample(units)
        marks = {
            "steal": steal_ticks(used) > stolen,
            "descheduled": any(map(_was_descheduled, taken.actors)),
        }
        return {
            "ns": taken.ns_per_object,
            "wall_ns": taken.wall_ns,
            "objects": taken.objects,
            "failed_gets": sum(actor.failed_gets for actor in taken.actors),
            "cpus": [actor.cpu for actor in taken.actors],
            "resident": resident_bytes(),
            "disturbed": [mark for mark, seen in marks.items() if seen],
        }

    return sample


def moved_sample(engine: Engine, take: Sampler, layout_seed: int, units: int) -> Reply:
    """What ``take`` says of ``units`` once ``engine`` has moved, and is warm again."""
    engine.move(layout_seed)
    warm_again(take, units)
    return take(units)


def warm_again(take: Sampler, units: int) -> None:
    """What follows a move, before a sample of ``units``."""
    take(max(1, units // WARM_UP))


def _was_descheduled(actor: ActorSample) -> bool:
    """Whether it shows: starting a thread leaves a moment's work for the kernel."""
    if actor.waited_ns < 0:
        return actor.switches > 0
    return actor.waited_ns > MOST_WAITED * (actor.ns + actor.idle_ns)


def conditions(replies: Iterable[Reply]) -> dict[str, Any]:
    """What samples ran on, for the cell's attestation."""
    taken = list(replies)
    return {
        "cpus": sorted({cpu for reply in taken for cpu in reply["cpus"]}),
        "failed_gets": sum(reply["failed_gets"] for reply in taken),
    }
