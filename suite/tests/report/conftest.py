# SPDX-License-Identifier: BSD-3-Clause
"""Runs as the runner leaves them, written and read through the real store; only the samples are drawn."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from allocmark.run.latency import merged
from allocmark.run.reuse import Event, figures
from allocmark.run.store import (
    Block,
    Cell,
    Group,
    Header,
    PlannedCell,
    PlannedGroup,
    Run,
    RunWriter,
    read_run,
)

MACHINE = {
    "cpu": "AMD EPYC 9B45",
    "cpus": 2,
    "cores": 2,
    "numa_nodes": 1,
    "memory_gib": 24,
    "hypervisor": "KVM",
}
VERSIONS = {"null": "0.1.0", "glibc": "2.36", "dpdk_ring": "22.11.11", "turbomem": "0.1.0"}
BACKENDS = (
    PlannedCell("null", "default", floor=True),
    PlannedCell("glibc", "default"),
    PlannedCell("glibc", "no-tcache"),
    PlannedCell("dpdk_ring", "ring_mp_mc"),
    PlannedCell("dpdk_ring", "lf_stack"),
    PlannedCell("turbomem", "default"),
)


@dataclass(frozen=True)
class Shape:
    """A workload with one set of parameters, and what each of BACKENDS truly costs there."""

    workload: str
    parameters: Mapping[str, Any]
    costs: Sequence[float]
    distance: float | None = None


SHAPES = (
    Shape("burst", {"burst": 1, "keep": 128, "touch": 0}, (0.61, 8.2, 21.5, 5.01, 5.03, 1.51)),
    Shape("burst", {"burst": 32, "keep": 128, "touch": 0}, (0.052, 7.9, 19.1, 0.392, 0.391, 0.252)),
    Shape("burst", {"burst": 32, "keep": 8192, "touch": 0}, (0.11, 14.2, 31.0, 0.91, 3.71, 0.39)),
    Shape("mixed_sizes", {"sizes": "imix", "lifetime": "random"}, (1.32, 18.4, 35.2, 4.21, 9.3, 3.55)),
    Shape("mixed_sizes", {"sizes": "zipf", "lifetime": "random"}, (1.35, 16.1, 36.0, 4.31, 9.1, 3.61)),
    Shape("cross_core_free", {"burst": 8, "touch": 0}, (1.45, 92.0, 140.0, 3.1, 11.9, 1.8), 58.0),
    Shape("cross_core_free", {"burst": 32, "touch": 64}, (3.2, 95.0, 151.0, 4.4, 11.7, 4.38), 58.0),
)


@dataclass
class Simulation:
    """What to draw. ``noise`` is relative, ``scale`` multiplies costs, ``status`` replaces figures."""

    shapes: Sequence[Shape] = SHAPES
    blocks: int = 16
    per_block: int = 2
    noise: float = 0.01
    seed: int = 7
    machine: Mapping[str, Any] = field(default_factory=lambda: MACHINE)
    scale: Mapping[str, float] = field(default_factory=dict)
    status: Mapping[tuple[str, str], tuple[str, str, str | None]] = field(default_factory=dict)
    distances: Mapping[int, float] = field(default_factory=dict)  #: of single blocks, on several cores
    changed: Sequence[int] = ()
    disturbed: Mapping[int, Sequence[str]] = field(default_factory=dict)
    backends: Sequence[PlannedCell] = BACKENDS
    baseline: str | None = None
    digest: str = "d1"
    skip: int = 0  #: shapes at the start that are not planned
    calls: int = 0  #: timed gets of each cell in each of 8 latency blocks; 0: neither latency nor reuse was measured
    finished: int | None = None  #: groups that were measured; None: all, and the run has ended

    def header(self) -> Header:
        plan = tuple(
            PlannedGroup(i, s.workload, self.digest, s.parameters, 1 if s.distance is None else 2, tuple(self.backends))
            for i, s in enumerate(self.shapes[self.skip :])
        )
        environment = {"machine": dict(self.machine), "os": "Debian GNU/Linux 12", "kernel": "6.1.0-28-amd64"}
        created = "2025-01-31T12:00:00Z"
        return Header("20250131-120000", created, ["run"], self.seed, self.baseline, environment, {}, plan)

    def groups(self) -> list[Group]:
        rng = random.Random(self.seed)
        return [self._group(index, shape, rng) for index, shape in enumerate(self.shapes[self.skip :])][: self.finished]

    def _group(self, index: int, shape: Shape, rng: random.Random) -> Group:
        # Shared by all backends, as on a real machine.
        drift = [math.exp(0.03 * math.sin(block / 3)) for block in range(self.blocks)]
        indices = [block for block in range(self.blocks) for _ in range(self.per_block)]
        costs = dict(zip((b.label for b in BACKENDS), shape.costs, strict=True))
        cells = []
        for planned in self.backends:
            label = planned.label
            status, reason, fix = self.status.get((shape.workload, label), ("ok", None, None))
            cost = costs[label] * self.scale.get(label, 1.0)
            samples = [cost * drift[b] * math.exp(rng.gauss(0, self.noise)) for b in indices]
            ok = status == "ok"
            cells.append(
                Cell(
                    group=index,
                    workload=shape.workload,
                    parameters=shape.parameters,
                    backend=planned.backend,
                    variant=planned.variant,
                    floor=planned.floor,
                    version=VERSIONS[planned.backend],
                    status=status,
                    reason=reason,
                    fix=fix,
                    objects=1_000_000,
                    samples=samples if ok else [],
                    blocks=indices if ok else [],
                    disturbed=dict(self.disturbed) if ok else {},
                    attestation={"pages": "thp"},
                    latency=self._latency(cost) if ok and self.calls else {},
                    reuse=self._reuse() if ok and self.calls and not planned.floor else {},
                )
            )
        blocks = tuple(
            Block(
                shape.distance and self.distances.get(b, shape.distance),
                shape.distance is not None and b in self.changed,
            )
            for b in range(self.blocks)
        )
        return Group(index, tuple(cells), blocks, 2.0, 1.9)

    def _latency(self, cost: float) -> dict[str, Any]:
        """Gets take the cost, one in 500 a hundredfold; there are half as many puts."""
        slow, usual = self.calls // 500, self.calls - self.calls // 500
        replies = {
            block: {
                "ns": cost,
                "clock_ns": 20.0,
                "resolution_ns": 10.0,
                "get": {"every": 32, "buckets": [[cost, usual], [100 * cost, slow]]},
                "put": {"every": 32, "buckets": [[cost / 2, self.calls // 2]]},
            }
            for block in range(8)
        }
        return merged(replies, range(8))

    @staticmethod
    def _reuse() -> dict[str, Any]:
        events = [Event(64 * (i % 700), 0, 0, i // 700 % 2) for i in range(2800)]
        return figures(events, [64])


@pytest.fixture
def simulate(tmp_path: Path) -> Callable[..., Run]:
    """``simulate(**fields of Simulation)`` writes that run and reads it back."""
    count = 0

    def write(**fields: Any) -> Run:
        nonlocal count
        count += 1
        simulation = Simulation(**fields)
        folder = tmp_path / f"run{count}"
        with RunWriter.create(folder, simulation.header()) as writer:
            for group in simulation.groups():
                writer.write_group(group)
            if simulation.finished is None:
                writer.end(20.0, 19.0, interrupted=False)
        return read_run(folder)

    return write
