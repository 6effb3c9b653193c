# SPDX-License-Identifier: BSD-3-Clause
"""What single calls took: histograms of timed gets and puts, as the run file keeps them, and their percentiles."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

PERCENTILES = ("50", "99", "99.9", "99.99")
BEYOND = 10  #: calls that must lie beyond a percentile for it to be given
ERROR = 1 / 64  #: how far below its bucket's figure a true value may lie, as a share of it
CALLS = ("get", "put")

Buckets = Sequence[tuple[float, int]]


@dataclass(frozen=True)
class Calls:
    """Timed calls of one kind: one in ``every`` on average.

    ``buckets`` are (ns, calls), ascending, ns being a bucket's upper end. ``blocks`` maps a percentile to its figure by
    latency block, where it can be given.
    """

    every: int
    buckets: Buckets
    blocks: Mapping[str, Mapping[int, float]]

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
class Latency:
    """The latency pass of one cell.

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


def merged(replies: Mapping[int, Mapping[str, Any]], kept: Collection[int]) -> dict[str, Any]:
    """The record of a cell's latency pass from what its process said in each block; blocks not kept are left out."""
    used = {block: reply for block, reply in replies.items() if block in kept}
    if not used:
        return {}
    last = max(replies) + 1
    return {
        **{kind: _calls({block: reply[kind] for block, reply in used.items()}, last) for kind in CALLS},
        "clock_ns": min(reply["clock_ns"] for reply in used.values()),
        "resolution_ns": max(reply["resolution_ns"] for reply in used.values()),
        "error": ERROR,
        "ns_per_object": [reply["ns"] for reply in used.values()],
    }


def _calls(blocks: Mapping[int, Mapping[str, Any]], n: int) -> dict[str, Any]:
    counts: Counter[float] = Counter()
    for reply in blocks.values():
        counts.update(dict(reply["buckets"]))
    return {
        "every": next(iter(blocks.values()))["every"],
        "buckets": [[ns, count] for ns, count in sorted(counts.items())],
        "blocks": {
            name: [percentile(blocks[i]["buckets"], name) if i in blocks else None for i in range(n)]
            for name in PERCENTILES
        },
    }


def latency_from(record: Mapping[str, Any]) -> Latency | None:
    """What `merged` wrote, or None for a cell without. Raises ValueError for what it never writes."""
    if not record:
        return None
    try:
        get, put = (_calls_from(record[kind]) for kind in CALLS)
        costs = [float(ns) for ns in record["ns_per_object"]]
        clock, step, error = (float(record[name]) for name in ("clock_ns", "resolution_ns", "error"))
        return Latency(get, put, clock, step, error, costs)
    except (KeyError, TypeError, AttributeError) as wrong:
        raise ValueError(f"{type(wrong).__name__}: {wrong}") from wrong


def _calls_from(record: Mapping[str, Any]) -> Calls:
    return Calls(
        every=int(record["every"]),
        buckets=tuple((float(ns), int(count)) for ns, count in record["buckets"]),
        blocks={
            name: {block: float(ns) for block, ns in enumerate(figures) if ns is not None}
            for name, figures in record["blocks"].items()
        },
    )
