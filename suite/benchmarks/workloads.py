# SPDX-License-Identifier: BSD-3-Clause
"""One benchmark per workload and measure, made from the workload's file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import allocmark

# Imported by asv's fork server once, and not again for every sample.
import allocmark.measuring.single
from allocmark.measuring.asv_benchmarks import (
    BytesBenchmark,
    Measure,
    Origin,
    PagesBenchmark,
    Parameters,
    TimeBenchmark,
    make_benchmark,
)

from .backends import BACKENDS, MALLOCS, POOLS, REPOSITORY, check_harness, why_missing

# Cases of the short forms that are not tracked, as a commit should take three minutes at most: those that add least.
LEFT_OUT = {
    "burst": {"bulk": 1, "keep": 8192},
    "mixed_sizes": {"mix": "zipf"},
    "cross_core_free": {"touch": 64},
}

_ORIGIN = Origin(check=lambda _: check_harness(), why_missing=why_missing)


def _make(
    kind: type[Measure], name: str, template: Any, cases: Sequence[Parameters], backends: Iterable[str] = BACKENDS
) -> type[Measure]:
    return make_benchmark(kind, name, template, cases, backends, _ORIGIN)


def _benchmarks(file: Path) -> list[type[Measure]]:
    template = allocmark.find_workload(str(file))
    every = [case.parameters for case in template.cases()]
    found = [_make(TimeBenchmark, f"full.{template.name}.time_object", template, every)]
    if template.default:
        short = [case.parameters for case in template.cases(short=True) if not _is_left_out(template.name, case)]
        found.append(_make(TimeBenchmark, f"{template.name}.time_object", template, short))
        found.append(_make(TimeBenchmark, f"malloc.{template.name}.time_object", template, short, MALLOCS))
        found.append(_make(TimeBenchmark, f"pools.{template.name}.time_object", template, short, POOLS))
        found.append(_make(PagesBenchmark, f"{template.name}.track_pages_2m", template, short))
        # Every case of the short form has the same pools, so one is enough.
        found.append(_make(BytesBenchmark, f"{template.name}.track_bytes_an_object", template, short[:1]))
    return found


def _is_left_out(workload: str, case: Any) -> bool:
    return workload in LEFT_OUT and LEFT_OUT[workload].items() <= case.parameters.items()


for _file in sorted((REPOSITORY / "workloads").glob("*.yaml")):
    globals().update({each.__name__.replace(".", "_"): each for each in _benchmarks(_file)})
