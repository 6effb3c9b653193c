# SPDX-License-Identifier: BSD-3-Clause
"""Cells as benchmarks of asv: classes with the members that asv looks for. All are costs: higher is worse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from allocmark.errors import AllocmarkError, UsageError
from allocmark.measuring.single import MEASURING_VERSION, UnavailableError, measure, measure_cell
from allocmark.workload.language.expand import Template
from allocmark.workload.language.find import find_workload

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Origin:
    """Where the backends of a commit are: ``prefix`` as in `measure`.

    ``check`` of a label raises what asv shall see when it cannot be measured; ``why_missing`` makes that of an error
    that a measurement raised. asv takes NotImplementedError for an empty cell, all else for a failed one.
    """

    prefix: str = ""
    check: Callable[[str], None] = lambda _: None
    why_missing: Callable[[str, AllocmarkError], Exception] = lambda _, error: error


class Measure:
    """A figure of every case of a workload. asv makes an instance in a new process for every sample."""

    cases: Sequence[Parameters]
    workload: str
    params: list[list[Any]]
    param_names: list[str]
    version: str  #: asv compares figures of one version only
    origin: Origin
    timeout = 120

    def setup(self, backend: str, *values: Any) -> None:
        """Measure. Done in set-up, where asv takes NotImplementedError for an empty cell."""
        parameters = dict(zip(self.param_names[1:], values, strict=True))
        if parameters not in self.cases:  # asv asks for every combination; not all are tracked
            raise NotImplementedError("not in the tracked set")
        self.origin.check(backend)
        try:
            self.figure = self.measure(parameters, backend)
        except UnavailableError as error:
            raise NotImplementedError(str(error)) from error
        except UsageError as error:
            raise self.origin.why_missing(backend, error) from error

    def measure(self, parameters: Parameters, backend: str) -> float:
        """The figure."""
        raise NotImplementedError

    def run(self, *parameters: Any) -> Any:
        """What asv calls for a sample."""
        raise NotImplementedError


class _EngineClock:
    """The timer that asv reads before and after a sample; it advances by what the engine measured, in seconds."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class TimeBenchmark(Measure):
    """Gross time per object, by the engine's clock. asv collects the samples; none includes Python."""

    timer = _EngineClock()
    # One sample per process, as samples of one process share a memory layout and are not independent. asv's rounds also
    # spread them over time.
    number, repeat, rounds, warmup_time = 1, 1, 10, 0

    def measure(self, parameters: Parameters, backend: str) -> float:
        (ns,) = measure(self.workload, parameters, backend, prefix=self.origin.prefix)
        return ns

    def run(self, *_: Any) -> None:
        self.timer.seconds += self.figure * 1e-9


class _Track(Measure):
    """A figure that is counted, not timed: one value, no samples."""

    def run(self, *_: Any) -> float:
        return self.figure


class BytesBenchmark(_Track):
    """Resident bytes of the pools per object that the workload asks for."""

    unit = "bytes/object"

    def measure(self, parameters: Parameters, backend: str) -> float:
        found = measure_cell(self.workload, parameters, backend, counts=False, prefix=self.origin.prefix)
        pools = found.probes["populated"]["memory"]["pools"]
        for pool in pools.values():
            if "unknown" in pool:
                raise UnavailableError(pool["unknown"])
        asked = _objects(self.workload, parameters)
        resident: int = sum(pool["resident"] for pool in pools.values())
        return resident / sum(asked[name] for name in pools)


class PagesBenchmark(_Track):
    """Distinct 2 MB pages that hold 1,000 objects which one actor gets in succession."""

    unit = "2 MB pages/1000 gets"

    def measure(self, parameters: Parameters, backend: str) -> float:
        found = measure_cell(self.workload, parameters, backend, prefix=self.origin.prefix).passes
        if "reuse" not in found:
            raise UnavailableError("its reuse is not measured")
        pages: float = found["reuse"].pages_2m
        return pages


def _objects(workload: str, parameters: Parameters) -> dict[str, int]:
    """The number of objects in each pool, in the case with these parameters."""
    (case,) = find_workload(workload).cases({key: [str(value)] for key, value in parameters.items()})
    return {name: pool.objects for name, pool in case.workload.pools.items()}


def make_benchmark(
    kind: type[Measure],
    name: str,
    template: Template,
    cases: Sequence[Parameters],
    backends: Iterable[str],
    origin: Origin,
) -> type[Measure]:
    """A class for asv to find. asv stores its history under ``name``, not under the name of a module.

    ``backends`` are labels. They must not depend on the commit: asv identifies parameters by their index.
    """

    def run(self: Measure, *parameters: Any) -> Any:
        return kind.run(self, *parameters)

    run.benchmark_name = name  # type: ignore[attr-defined]  # asv looks for it there
    values = [list(dict.fromkeys(each[key] for each in cases)) for key in template.sweep]
    members = {
        "cases": cases,
        "origin": origin,
        "workload": str(template.path),
        "params": [list(backends), *values],
        "param_names": ["backend", *template.sweep],
        "version": f"{MEASURING_VERSION}-{template.digest}",
        name.rpartition(".")[2]: run,
    }
    return type(name, (kind,), members)
