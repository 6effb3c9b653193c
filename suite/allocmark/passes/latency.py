# SPDX-License-Identifier: BSD-3-Clause
"""What single calls took: histograms of gets and puts that were timed one by one, and their percentiles."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

from allocmark.passes.base import LARGEST, Figures, PassColumn, Reply, Sampler, TablePass

if TYPE_CHECKING:
    from allocmark.engine.session import Engine
    from allocmark.workload.tape.program import Program

PERCENTILES = ("50", "99", "99.9", "99.99")
BEYOND = 10  #: calls that must lie beyond a percentile for it to be given
FEW = "few"  #: shown for a percentile beyond which fewer calls lie
ERROR = 1 / 64  #: how far below its bucket's figure a true value may lie, as a share of it
CALLS = ("get", "put")
CLOCK_SHARE = 0.05  #: of a sample's time, what reading the clock may take, for gets and puts together
BLOCK_SHARE = 4  #: of this many blocks of samples, one more for this pass

Buckets = Sequence[tuple[float, int]]  #: (ns, calls), ascending; ns is the bucket's upper end


@dataclass(frozen=True)
class Calls(Figures):
    """Timed calls of one kind: one in ``every`` on average, in the first process.

    ``blocks`` maps a percentile to its figure in ns in each block of this pass, None where there is none.
    """

    every: int
    buckets: Buckets
    blocks: Mapping[str, Sequence[float | None]]

    def __post_init__(self) -> None:
        super().__post_init__()
        if [ns for ns, _ in self.buckets] != sorted({ns for ns, _ in self.buckets}):
            raise ValueError("buckets do not ascend")
        seen = [ns for each in self.blocks.values() for ns in each if ns is not None]
        if not all(0 <= number < LARGEST for number in (*chain(*self.buckets), *seen)):
            raise ValueError(f"buckets or blocks hold numbers that are not from 0 to {LARGEST:.0g}")
        if missing := set(PERCENTILES) - set(self.blocks):
            raise ValueError(f"blocks lack {', '.join(sorted(missing))}")

    @cached_property
    def count(self) -> int:
        """How many were timed."""
        return sum(count for _, count in self.buckets)

    @property
    def max_ns(self) -> float:
        """The slowest that was timed; 0 when none was."""
        return self.buckets[-1][0] if self.buckets else 0.0

    @cached_property
    def percentiles(self) -> dict[str, float | None]:
        """ns by percentile; None where too few calls lie beyond it."""
        return {name: percentile(self.buckets, name) for name in PERCENTILES}


@dataclass(frozen=True)
class Latency(Figures):
    """The timed calls of one cell.

    ``clock_ns`` is in every figure: what reading the clock takes; ``resolution_ns`` is the clock's smallest step, and
    ``error`` how far below its bucket's figure a true value may lie, as a share of it. ``ns_per_object`` is what the
    blocks of this pass cost; beside the cell's own samples it tells what timing disturbed.
    """

    get: Calls
    put: Calls
    clock_ns: float
    resolution_ns: float
    error: float
    ns_per_object: Sequence[float]

    @property
    def calls(self) -> tuple[Calls, Calls]:
        """Gets and puts."""
        return self.get, self.put


def enough(name: str) -> int:
    """Calls that a percentile needs: p99.9 10,000."""
    return round(BEYOND / (1 - float(name) / 100))


def percentile(buckets: Buckets, name: str) -> float | None:
    """The smallest bucket's ns that at least that share of the calls does not exceed; None for too few calls."""
    total = sum(count for _, count in buckets)
    if total < enough(name):
        return None
    wanted = math.ceil(total * float(name) / 100)
    for ns, count in buckets:
        wanted -= count
        if wanted <= 0:
            return ns
    return None


def _write(ns: float) -> str:
    return f"{ns:,.0f}"


def _columns(kind: str) -> list[PassColumn[Latency]]:
    def of(name: str) -> Callable[[Latency], float | None]:
        return lambda record: getattr(record, kind).percentiles[name]

    return [
        *(PassColumn(f"{kind} p{name}", of(name), _write, FEW, f"{kind}_p{name}") for name in PERCENTILES),
        PassColumn(f"{kind} max", lambda record: getattr(record, kind).max_ns or None, _write, FEW),
    ]


class LatencyPass(TablePass[Latency]):
    """Blocks of its own after all samples, in which some calls are timed, so seldom that the clock takes little of the
    time."""

    name = "latency"
    most_rounds = 8  # tails beyond p99.99 need many calls, and not more processes
    help = "do not time single calls"
    record = Latency
    title = "single calls, ns"
    columns = (*_columns("get"), *_columns("put"))
    spare = ("put p99.99", "get p99.99", "put p50", "put max", "put p99", "put p99.9")

    def start(self, engine: Engine, program: Program, cpus: Sequence[tuple[int, int]]) -> Sampler:
        """How many calls lie between two that are timed is found out once, for gets and for puts, and stays."""
        every: list[int] = []

        def sample(units: int) -> dict[str, Any]:
            every[:] = every or _pace(engine, units)
            taken, *histograms = engine.time_calls(units, *every)
            return {
                "ns": taken.ns_per_object,
                "clock_ns": engine.clock_ns(),
                "resolution_ns": engine.clock_step_ns(),
                **{k: {"every": n, "buckets": b} for k, n, b in zip(CALLS, every, histograms, strict=True)},
            }

        return sample

    def blocks(self, wanted: int) -> int:
        return -(-wanted // BLOCK_SHARE)

    def merge(self, replies: Mapping[int, Reply], kept: Collection[int]) -> dict[str, Any]:
        """The histograms of the kept blocks added up."""
        used = {block: reply for block, reply in replies.items() if block in kept}
        if not used:
            return {}
        record = {
            **{kind: _added({b: reply[kind] for b, reply in used.items()}, max(replies) + 1) for kind in CALLS},
            "clock_ns": min(reply["clock_ns"] for reply in used.values()),
            "resolution_ns": max(reply["resolution_ns"] for reply in used.values()),
            "error": ERROR,
            "ns_per_object": [reply["ns"] for reply in used.values()],
        }
        return {self.name: record}

    def combine(self, records: Mapping[int, Latency]) -> Latency:
        """The histograms of all rounds added up."""
        found = list(records.values())
        return Latency(
            get=_together([each.get for each in found]),
            put=_together([each.put for each in found]),
            clock_ns=min(each.clock_ns for each in found),
            resolution_ns=max(each.resolution_ns for each in found),
            error=max(each.error for each in found),
            ns_per_object=[ns for each in found for ns in each.ns_per_object],
        )

    def note(self, records: Sequence[Latency]) -> str:
        clock = max(each.clock_ns for each in records)
        step = max(each.resolution_ns for each in records)
        text = f"Reading the clock takes {clock:.0f} ns of each figure and has steps of {step:.0f} ns."
        if any(None in calls.percentiles.values() for each in records for calls in each.calls):
            text += f" {FEW}: fewer than {BEYOND} of the timed calls lie beyond it."
        return text

    def document(self, record: Latency) -> dict[str, Any]:
        """As in the run file, with the percentiles over all blocks."""
        found = super().document(record)
        for kind, calls in zip(CALLS, record.calls, strict=True):
            found[kind] |= {"percentiles": calls.percentiles, "calls": calls.count}
        return found


def _pace(engine: Engine, units: int) -> list[int]:
    """Counts the calls by timing each of them, which also warms this loop up."""
    spent = sum(actor.ns for actor in engine.sample(units).actors)
    _, *histograms = engine.time_calls(units, 1, 1)
    allowed = max(1.0, spent * CLOCK_SHARE / 2)
    return [max(1, math.ceil(engine.clock_ns() * sum(count for _, count in each) / allowed)) for each in histograms]


def _together(calls: Sequence[Calls]) -> Calls:
    return Calls(
        every=calls[0].every,
        buckets=_sum([each.buckets for each in calls]),
        blocks={name: [ns for each in calls for ns in each.blocks[name]] for name in PERCENTILES},
    )


def _sum(histograms: Iterable[Buckets]) -> Buckets:
    counts: Counter[float] = Counter()
    for buckets in histograms:
        counts.update(dict(buckets))
    return sorted(counts.items())


def _added(blocks: Mapping[int, Reply], n: int) -> dict[str, Any]:
    return {
        "every": next(iter(blocks.values()))["every"],
        "buckets": _sum(reply["buckets"] for reply in blocks.values()),
        "blocks": {
            name: [percentile(blocks[i]["buckets"], name) if i in blocks else None for i in range(n)]
            for name in PERCENTILES
        },
    }
