# SPDX-License-Identifier: BSD-3-Clause
"""One cell from Python, for those who keep samples in their own way, as asv does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from allocmark import plugins
from allocmark.errors import AllocmarkError, UsageError
from allocmark.run.plan import GroupPlan, make_plan
from allocmark.run.request import Request
from allocmark.run.schedule import GroupRun
from allocmark.workload.load import Scalar

#: Raised when engine or schedule come to measure another thing, so that older figures are not compared with new ones.
MEASURING_VERSION = 1


class UnavailableError(AllocmarkError):
    """The variant cannot run here, or not this workload: nothing failed, and there is nothing to measure."""


def measure(
    workload: str, parameters: Mapping[str, Scalar], backend: str, *, samples: int = 1, seed: int = 1
) -> list[float]:
    """Nanoseconds an object, gross, one value a sample; each sample comes from a process of its own, warmed up.

    ``workload`` is a name or a path, ``backend`` is ``NAME`` or ``NAME:VARIANT``. ``parameters`` must leave one cell:
    a value for every sweep variable that has several, and for any other place of the file (``pools.mbuf.objects``).

    Raises UsageError or WorkloadError for what makes no sense here, UnavailableError when the variant cannot run,
    and AllocmarkError, with the cause, when the process of a sample failed.
    """
    request = Request(
        workloads=[workload],
        backends=[backend],
        overrides={key: [_as_typed(value)] for key, value in parameters.items()},
        seed=seed,
        blocks=1,
    )
    group = _one_cell(request)
    missing = group.cells[0].unavailable
    if missing:
        raise UnavailableError(f"{backend} cannot run {workload} here: {missing.reason}")
    return [_sample(group, request) for _ in range(samples)]


def _as_typed(value: Scalar) -> str:
    """As on the command line: a word is plain, and JSON's numbers and truths are YAML's."""
    return value if isinstance(value, str) else json.dumps(value)


def _one_cell(request: Request) -> GroupPlan:
    plan = make_plan(request, plugins.load())
    if len(plan.groups) != 1:
        raise UsageError(f"{request.workloads[0]}: these parameters leave {len(plan.groups)} cells; expected one")
    group = plan.groups[0]
    return replace(group, cells=group.cells[-1:])  # every plan begins with the floor


def _sample(group: GroupPlan, request: Request) -> float:
    finished = GroupRun(group, request, [], lambda: False).run(lambda _cell, _block: None)
    assert finished  # only a stopped run has nothing to keep
    (cell,) = finished.cells
    if cell.status != "ok":
        raise AllocmarkError(f"{cell.label} failed on {cell.workload}: {cell.reason}")
    (sample,) = cell.samples
    return sample
