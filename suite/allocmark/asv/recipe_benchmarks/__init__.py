# SPDX-License-Identifier: BSD-3-Clause
"""What asv measures of a repository with an allocmark.toml: its workloads in their short forms. asv imports this."""

from __future__ import annotations

import sys

from allocmark.asv.recipe_status import read_status
from allocmark.measuring.asv_benchmarks import (
    BytesBenchmark,
    Measure,
    Origin,
    PagesBenchmark,
    TimeBenchmark,
    make_benchmark,
)
from allocmark.workload.language.expand import Template
from allocmark.workload.language.find import all_workloads, find_workload

_STATUS = read_status()


def _check(backend: str) -> None:
    if reason := _STATUS.reasons.get(backend):
        sys.tracebacklimit = 0  # asv prints it for every cell: the reason says all
        raise RuntimeError(f"{backend} of commit {_STATUS.commit[:8]}: {reason}")


def _benchmarks(template: Template) -> list[type[Measure]]:
    origin = Origin(_STATUS.prefix, _check)
    cases = [case.parameters for case in template.cases(short=True)]
    return [
        make_benchmark(kind, f"{template.name}.{name}", template, cases[:most], _STATUS.backends, origin)
        for name, kind, most in (
            ("time_object", TimeBenchmark, None),
            ("track_pages_2m", PagesBenchmark, None),
            ("track_bytes_an_object", BytesBenchmark, 1),  # every case of a short form has the same pools
        )
    ]


_named = [find_workload(name) for name in _STATUS.workloads]
_default = [each for each in all_workloads() if isinstance(each, Template) and each.default]
for _template in _named or _default:
    globals().update({each.__name__.replace(".", "_"): each for each in _benchmarks(_template)})
