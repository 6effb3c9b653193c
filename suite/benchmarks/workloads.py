# SPDX-License-Identifier: BSD-3-Clause
"""One benchmark per workload and measure, made from the workload's file. All are costs: higher is worse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import allocmark

# Imported by asv's fork server once, and not again for every sample.
import allocmark.measuring.single
from allocmark.errors import UsageError

from .backends import BACKENDS, MALLOCS, POOLS, REPOSITORY, check_harness, why_missing

Parameters = Mapping[str, Any]

# Cases of the short forms that are not tracked, as a commit should take three minutes at most: those that add least.
LEFT_OUT = {
    "burst": {"bulk": 1, "keep": 8192},
    "mixed_sizes": {"mix": "zipf"},
    "cross_core_free": {"touch": 64},
}


class _Measure:
    """A figure of every case of a workload. asv makes an instance in a new process for every sample."""

    cases: Sequence[Parameters]
    workload: str
    params: list[list[Any]]
    param_names: list[str]
    version: str  #: asv compares figures of one version only
    timeout = 120

    def setup(self, backend: str, *values: Any) -> None:
        """Measure. Done in set-up, where asv takes NotImplementedError for an empty cell."""
        parameters = dict(zip(self.param_names[1:], values, strict=True))
        if parameters not in self.cases:  # asv asks for every combination; not all are tracked
            raise NotImplementedError("not in the tracked set")
        check_harness()
        try:
            self.figure = self.measure(parameters, backend)
        except allocmark.UnavailableError as error:
            raise NotImplementedError(str(error)) from error
        except UsageError as error:
            raise why_missing(backend, error) from error

    def measure(self, parameters: Parameters, backend: str) -> float:
        raise NotImplementedError


class _EngineClock:
    """The timer that asv reads before and after a sample; it advances by what the engine measured, in seconds."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class _Time(_Measure):
    """Gross time per object, by the engine's clock. asv collects the samples; none includes Python."""

    timer = _EngineClock()
    # One sample per process, as samples of one process share a memory layout and are not independent. asv's rounds also
    # spread them over time.
    number, repeat, rounds, warmup_time = 1, 1, 10, 0

    def measure(self, parameters: Parameters, backend: str) -> float:
        (ns,) = allocmark.measure(self.workload, parameters, backend)
        return ns

    def run(self, *_: Any) -> None:
        self.timer.seconds += self.figure * 1e-9


class _Track(_Measure):
    """A figure that is counted, not timed: one value, no samples."""

    def run(self, *_: Any) -> float:
        return self.figure


class _Bytes(_Track):
    """Resident bytes of the pools per object that the workload asks for."""

    unit = "bytes/object"

    def measure(self, parameters: Parameters, backend: str) -> float:
        found = allocmark.measure_cell(self.workload, parameters, backend, counts=False)
        pools = found.probes["populated"]["memory"]["pools"]
        for pool in pools.values():
            if "unknown" in pool:
                raise allocmark.UnavailableError(pool["unknown"])
        asked = _objects(self.workload, parameters)
        return sum(pool["resident"] for pool in pools.values()) / sum(asked[name] for name in pools)


class _Pages(_Track):
    """Distinct 2 MB pages that hold 1,000 objects which one actor gets in succession."""

    unit = "2 MB pages/1000 gets"

    def measure(self, parameters: Parameters, backend: str) -> float:
        found = allocmark.measure_cell(self.workload, parameters, backend).passes
        if "reuse" not in found:
            raise allocmark.UnavailableError("its reuse is not measured")
        return found["reuse"].pages_2m


def _objects(workload: str, parameters: Parameters) -> dict[str, int]:
    """The number of objects in each pool, in the case with these parameters."""
    (case,) = allocmark.find_workload(workload).cases({key: [str(value)] for key, value in parameters.items()})
    return {name: pool.objects for name, pool in case.workload.pools.items()}


def _benchmark(
    kind: type[_Measure], name: str, template: Any, cases: Sequence[Parameters], backends: Iterable[str] = BACKENDS
) -> type[_Measure]:
    """A class for asv to find. asv stores its history under ``name``, not under the name of this module."""

    def run(self: _Measure, *parameters: Any) -> Any:
        return kind.run(self, *parameters)

    run.benchmark_name = name
    values = [list(dict.fromkeys(each[key] for each in cases)) for key in template.sweep]
    members = {
        "cases": cases,
        "workload": str(template.path),
        "params": [list(backends), *values],
        "param_names": ["backend", *template.sweep],
        "version": f"{allocmark.MEASURING_VERSION}-{template.digest}",
        name.rpartition(".")[2]: run,
    }
    return type(name, (kind,), members)


def _benchmarks(file: Path) -> list[type[_Measure]]:
    template = allocmark.find_workload(str(file))
    every = [case.parameters for case in template.cases()]
    found = [_benchmark(_Time, f"full.{template.name}.time_object", template, every)]
    if template.default:
        short = [case.parameters for case in template.cases(short=True) if not _is_left_out(template.name, case)]
        found.append(_benchmark(_Time, f"{template.name}.time_object", template, short))
        found.append(_benchmark(_Time, f"malloc.{template.name}.time_object", template, short, MALLOCS))
        found.append(_benchmark(_Time, f"pools.{template.name}.time_object", template, short, POOLS))
        found.append(_benchmark(_Pages, f"{template.name}.track_pages_2m", template, short))
        # Every case of the short form has the same pools, so one is enough.
        found.append(_benchmark(_Bytes, f"{template.name}.track_bytes_an_object", template, short[:1]))
    return found


def _is_left_out(workload: str, case: Any) -> bool:
    return workload in LEFT_OUT and LEFT_OUT[workload].items() <= case.parameters.items()


for _file in sorted((REPOSITORY / "workloads").glob("*.yaml")):
    globals().update({each.__name__.replace(".", "_"): each for each in _benchmarks(_file)})
