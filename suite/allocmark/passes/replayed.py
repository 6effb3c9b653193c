# SPDX-License-Identifier: BSD-3-Clause
"""The replay of a recorded program: how long its calls take, and what is resident while it runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from allocmark.passes.base import LARGEST, Figures, PassColumn, Reply, TablePass
from allocmark.passes.latency import CALLS, ERROR, PERCENTILES, percentile


@dataclass(frozen=True)
class Replayed(Figures):
    """Bytes at each of the trace's points: those that live, the same in every replay, and those resident beyond what
    the process had before. ``drained`` are resident when everything was freed."""

    live: Sequence[int]
    resident: Sequence[int]
    drained: int | float

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.live) != len(self.resident):
            raise ValueError(f"live has {len(self.live)} points, and resident {len(self.resident)}")
        if not all(0 <= n < LARGEST for n in (*self.live, *self.resident)):
            raise ValueError(f"live or resident holds numbers that are not from 0 to {LARGEST:.0g}")

    @property
    def most_live(self) -> int:
        """At a point."""
        return max(self.live, default=0)

    @property
    def most_resident(self) -> int:
        """At a point."""
        return max(self.resident, default=0)

    @property
    def overhead(self) -> float | None:
        """Resident bytes for each live one, over the whole trace; None where nothing lived."""
        return sum(self.resident) / sum(self.live) if sum(self.live) else None


def _mib(of: Callable[[Replayed], float]) -> Callable[[Replayed], float]:
    return lambda record: of(record) / 2**20


class ReplayPass(TablePass[Replayed]):
    """One sample in each process: heaps grow old, and a second replay would find another one."""

    name = "replayed"
    help = ""
    alone = True
    gives_samples = True
    once = True
    record = Replayed
    title = "memory over the trace"
    columns = (
        PassColumn("live at most", _mib(lambda r: r.most_live), "{:.4g}".format),
        PassColumn("resident at most", _mib(lambda r: r.most_resident), "{:.4g}".format, csv="resident_at_most"),
        PassColumn("resident / live", lambda r: r.overhead, "{:.2f}".format, csv="resident_over_live"),
        PassColumn("after drain", _mib(lambda r: r.drained), "{:.4g}".format, csv="resident_drained"),
    )

    def merge(self, replies: Mapping[int, Reply], kept: Collection[int]) -> dict[str, Any]:
        if not replies:
            return {"objects": 0, "samples": [], "blocks": [], "attestation": {}}
        reply = replies[0]
        members = {
            "objects": reply["objects"],
            "samples": [reply["ns"]],
            "blocks": [0],
            "attestation": {"cpus": sorted({*reply["cpus"]}), "failed_gets": 0},
            self.name: reply["memory"] or {},
        }
        if any(reply["late"]):
            members["latency"] = {
                **{kind: _calls(buckets) for kind, buckets in zip(CALLS, reply["late"], strict=True)},
                "clock_ns": reply["clock_ns"],
                "resolution_ns": 1.0,
                "error": ERROR,
                "ns_per_object": [reply["ns"]],
            }
        return members

    def combine(self, records: Mapping[int, Replayed]) -> Replayed:
        """Medians over the rounds, point by point."""
        first = records[min(records)]
        found = [each for each in records.values() if each.live == first.live]  # others are of no round of this case
        points = zip(*(each.resident for each in found), strict=True)
        return replace(
            first,
            resident=[_middle(point) for point in points],
            drained=_middle([each.drained for each in found]),
        )

    def note(self, records: Sequence[Replayed]) -> str:
        return (
            "MiB. live: bytes that the program had asked for and not freed. resident: what the process had beyond what "
            "it had before the replay, at a hundred points; resident / live: its mean over the mean of live. after "
            "drain: when everything was freed. Each page of an object is written once."
        )


def _middle(values: Sequence[Any]) -> Any:
    return sorted(values)[len(values) // 2]


def _calls(buckets: Sequence[Any]) -> dict[str, Any]:
    return {
        "every": 1,
        "buckets": buckets,
        "blocks": {name: [percentile(buckets, name)] for name in PERCENTILES},
    }
