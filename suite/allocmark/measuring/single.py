# SPDX-License-Identifier: BSD-3-Clause
"""One cell from Python, for those who keep samples in their own way, as asv does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from allocmark import installed
from allocmark.errors import AllocmarkError, UsageError
from allocmark.measuring.case_plan import CasePlan
from allocmark.measuring.plan import TooLargeError, make_plan
from allocmark.measuring.request import Request
from allocmark.measuring.schedule import CaseRun
from allocmark.passes import registry
from allocmark.results.records import MeasuredCase, MeasuredCell
from allocmark.stats import block_medians, median, usual_conditions
from allocmark.workload.language.load import Scalar

#: Goes up when figures come to mean something else: asv then does not compare older ones with new ones.
MEASURING_VERSION = 5


class UnavailableError(AllocmarkError):
    """The variant cannot run here, or not this workload, or the machine is too small for it: nothing failed."""


def measure(
    workload: str, parameters: Mapping[str, Scalar], backend: str, *, samples: int = 1, seed: int = 1, prefix: str = ""
) -> list[float]:
    """Nanoseconds per object, the floor included, one value for each sample. Each sample has a process of its own,
    which is warmed up: it is the median of the blocks measured there under the usual conditions.

    Parameters and errors are those of `measure_cell`.
    """
    found = []
    for number in range(samples):
        case = _measured(workload, parameters, backend, (), number=number, seed=seed, prefix=prefix)
        (cell,) = case.cells
        kept = block_medians(cell.samples, cell.blocks, usual_conditions(case.blocks).kept)
        found.append(median(kept.values() or cell.samples))
    return found


def measure_cell(
    workload: str,
    parameters: Mapping[str, Scalar],
    backend: str,
    *,
    blocks: int = Request.blocks,
    counts: bool = True,
    seed: int = 1,
    number: int = 0,
    prefix: str = "",
) -> MeasuredCell:
    """One cell's record, from one process, with ``blocks`` samples. Its place in memory and what the
    workload leaves to chance are those of round ``number``.

    ``counts``: also with what is counted and not timed, in ``passes`` of the record (memory that is reused).
    ``workload`` is a name or a path, ``backend`` is ``NAME`` or ``NAME:VARIANT``. ``parameters`` must leave one cell:
    a value for every sweep variable that has several, and for any other place of the file (``pools.mbuf.objects``).
    With ``prefix`` backends are taken from that folder, as in `allocmark.plugins.load`.

    Raises UsageError or WorkloadError for what makes no sense here, UnavailableError when the variant cannot run,
    and AllocmarkError, with the cause, when the process failed.
    """
    passes = registry.counting() if counts else ()
    case = _measured(workload, parameters, backend, passes, blocks=blocks, number=number, seed=seed, prefix=prefix)
    return case.cells[0]


def _measured(
    workload: str,
    parameters: Mapping[str, Scalar],
    backend: str,
    passes: Sequence[str],
    *,
    number: int,
    seed: int,
    prefix: str,
    blocks: int = Request.blocks,
) -> MeasuredCase:
    """A round of one cell."""
    request = Request(
        workloads=[workload],
        backends=[backend],
        overrides={key: [_as_typed(value)] for key, value in parameters.items()},
        seed=seed,
        blocks=blocks,
        passes=passes,
    )
    case = _one_cell(request, prefix)
    if missing := case.cells[0].backend.unavailable:
        raise UnavailableError(f"{backend} cannot run {workload} here: {missing.reason}")
    finished = CaseRun(case, request, number, passes=registry.scheduled(request.passes)).run(lambda _: None)
    assert finished  # only a stopped round has nothing to keep
    (cell,) = finished.cells
    if cell.status != "ok":
        raise AllocmarkError(f"{cell.label} failed on {cell.workload}: {cell.reason}")
    return finished


def _as_typed(value: Scalar) -> str:
    """The value as it would be typed after --set."""
    return value if isinstance(value, str) else json.dumps(value)


def _one_cell(request: Request, prefix: str) -> CasePlan:
    try:
        plan = make_plan(request, installed.load(prefix), floor=False)
    except TooLargeError as error:
        raise UnavailableError(str(error)) from error
    cells = sum(len(case.cells) for case in plan.cases)
    if cells != 1:
        raise UsageError(f"{request.workloads[0]}: these parameters leave {cells} cells; expected one")
    return plan.cases[0]
