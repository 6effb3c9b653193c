# SPDX-License-Identifier: BSD-3-Clause
"""What a run says of each cell: medians, what is left without the floor, and ratios to a baseline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from allocmark import stats
from allocmark.errors import UsageError
from allocmark.passes import registry
from allocmark.results.records import MeasuredCase, MeasuredCell, PlannedCase
from allocmark.results.store import Run
from allocmark.stats import Distance, Estimate, Verdict

DOCUMENT_FORMAT = 2  #: 1 called a case a group


@dataclass(frozen=True)
class CellSummary:
    """One cell's figures, in ns per object.

    ``values`` are its block medians. Every estimate is None where it cannot be had: no sample was used, the
    case has no floor (``net``), or ``no_ratio`` says why there is no ratio. ``verdict`` rests on
    ``ratio``. Of the samples, ``used`` count, ``disturbed`` of those are marked, and ``set_aside`` lie in
    blocks left out.
    """

    cell: MeasuredCell
    values: Mapping[int, float]
    median: Estimate | None
    net: Estimate | None
    ratio: Estimate | None
    net_ratio: Estimate | None
    verdict: Verdict | None
    no_ratio: str | None
    used: int
    disturbed: int
    set_aside: int


@dataclass(frozen=True)
class CaseSummary:
    """The cells of one workload with one set of parameters.

    ``baseline`` and ``floor`` are labels, None when the case has none; ``no_baseline`` then says why.
    """

    planned: PlannedCase
    cells: tuple[CellSummary, ...]
    distance: Distance
    baseline: str | None
    no_baseline: str | None
    floor: str | None


def summarise(run: Run, baseline: str | None = None) -> list[CaseSummary]:
    """The complete cases of a run, in the order of the plan.

    ``baseline`` is ``BACKEND`` (its first variant in the plan), ``BACKEND:VARIANT``, or a family: patterns of those
    with ``*``, separated by commas, of which each case takes the one with the lowest median; without one it is
    the one the run was started with, else the first cell of each case that gave figures and is not the
    floor. Raises UsageError when it is nowhere in the plan.
    """
    wanted = baseline or run.header.baseline
    if wanted is not None:
        check_baseline(wanted, [cell.label for case in run.header.plan for cell in case.cells], f"in {run.path}")
    return [_summarise(case, run.header.plan[case.case], wanted) for case in run.cases]


def check_baseline(wanted: str, labels: Iterable[str], where: str) -> None:
    """Raises UsageError when ``wanted`` is none of ``labels``; ``where`` says of what."""
    possible = list(dict.fromkeys(labels))
    if not any(_is_meant(label, wanted) for label in possible):
        raise UsageError(f"baseline {wanted!r} is not {where}: possible are {', '.join(possible)}")


def _is_family(wanted: str) -> bool:
    return any(c in wanted for c in "*?[,")


def _is_meant(label: str, wanted: str) -> bool:
    backend = label.partition(":")[0]
    if _is_family(wanted):
        return any(fnmatchcase(label, each) or backend == each for each in wanted.split(","))
    return wanted in (backend, label)


def _summarise(case: MeasuredCase, planned: PlannedCase, wanted: str | None) -> CaseSummary:
    distance = stats.dominant_distance(case.blocks)
    values: dict[str, dict[int, float]] = {cell.label: {} for cell in case.cells}
    for cell in case.cells:
        if cell.status == "ok":
            values[cell.label] = stats.block_medians(cell.samples, cell.blocks, distance.kept)
    floor = next((c.label for c in case.cells if c.floor and values[c.label]), None)
    base, why = _baseline(case, planned, values, wanted)
    net = {
        cell.label: stats.net(values[cell.label], values[floor]) if floor and not cell.floor else {}
        for cell in case.cells
    }
    cells = tuple(_cell(cell, values, net, base, why, distance) for cell in case.cells)
    return CaseSummary(planned, cells, distance, base, why, floor)


def _cell(
    cell: MeasuredCell,
    values: Mapping[str, Mapping[int, float]],
    net: Mapping[str, Mapping[int, float]],
    base: str | None,
    why: str | None,
    distance: Distance,
) -> CellSummary:
    own, own_net = values[cell.label], net[cell.label]
    ratio = net_ratio = verdict = None
    if not own:
        why = cell.reason if cell.status != "ok" else "no sample was taken, or all were set aside"
    elif cell.label == base:
        why = "this is the baseline"
    elif cell.floor:
        why = "this is the floor"
    elif base is not None:
        ratio = stats.paired_ratio(own, values[base])
        net_ratio = stats.paired_ratio(own_net, net[base])
        verdict = stats.verdict(ratio)
        why = None if ratio else f"no block has both it and {base}"
    used = [index for index, block in enumerate(cell.blocks) if block in own]
    return CellSummary(
        cell=cell,
        values=own,
        median=_median(own),
        net=_median(own_net),
        ratio=ratio,
        net_ratio=net_ratio,
        verdict=verdict,
        no_ratio=why,
        used=len(used),
        disturbed=sum(index in cell.disturbed for index in used),
        set_aside=sum(block not in distance.kept for block in cell.blocks),
    )


def _median(values: Mapping[int, float]) -> Estimate | None:
    return stats.estimate(list(values.values()), stats.MEDIAN_CONFIDENCE) if values else None


def _baseline(
    case: MeasuredCase, planned: PlannedCase, values: Mapping[str, Mapping[int, float]], wanted: str | None
) -> tuple[str | None, str | None]:
    if wanted is None:
        first = next((c.label for c in case.cells if values[c.label] and not c.floor), None)
        return first, None if first else "no backend gave figures here"
    if _is_family(wanted):
        return _best(planned, values, wanted)
    label = next((c.label for c in planned.cells if _is_meant(c.label, wanted)), None)
    if label is None:
        return None, f"the baseline {wanted} does not run this workload"
    # Never replaced by a variant that did run: the reader asked for this one.
    cell = next((c for c in case.cells if c.label == label), None)
    if cell is None:
        return None, f"the baseline {label} was not measured"
    if not values[label]:
        what = cell.status if cell.status != "ok" else "without a usable sample"
        return None, f"the baseline {label} is {what}" + (f": {cell.reason}" if cell.reason else "")
    return label, None


def _best(
    planned: PlannedCase, values: Mapping[str, Mapping[int, float]], wanted: str
) -> tuple[str | None, str | None]:
    """The fastest of a family here. It is chosen by the same figures that it is compared by, which favours it."""
    medians = {
        cell.label: stats.median(values[cell.label].values())
        for cell in planned.cells
        if not cell.floor and _is_meant(cell.label, wanted) and values.get(cell.label)
    }
    if not medians:
        return None, f"none of the baseline's family {wanted} gave figures here"
    return min(medians, key=lambda label: medians[label]), None


def document(run: Run, baseline: str | None = None) -> dict[str, Any]:
    """The run as one strict JSON document: raw samples, estimates, verdicts; see docs/how-are-the-numbers-made.md.

    An interval is null where its confidence could not be reached.
    """
    header = run.header
    summaries = summarise(run, baseline)
    return {
        "format": DOCUMENT_FORMAT,
        **{name: value for name, value in vars(header).items() if name != "plan"},
        "baseline": baseline or header.baseline,
        "complete": run.end is not None and not run.end.interrupted and not run.damage,
        "cases": [_case_document(s, g) for s, g in zip(summaries, run.cases, strict=True)],
        "cells": [_cell_document(cell, case) for case in summaries for cell in case.cells],
    }


def _case_document(summary: CaseSummary, case: MeasuredCase) -> dict[str, Any]:
    return {
        "case": case.case,
        "workload": summary.planned.workload,
        "digest": summary.planned.digest,
        "parameters": dict(summary.planned.parameters),
        "actors": summary.planned.actors,
        "baseline": summary.baseline,
        "no_baseline": summary.no_baseline,
        "floor": summary.floor,
        "distance_ns": summary.distance.ns,
        "blocks": [{**vars(b), "used": i in summary.distance.kept} for i, b in enumerate(case.blocks)],
        "seconds": case.seconds,
        "measured_seconds": case.measured_seconds,
    }


def _cell_document(summary: CellSummary, case: CaseSummary) -> dict[str, Any]:
    cell = summary.cell
    return {
        **{name: value for name, value in vars(cell).items() if name != "passes"},
        "disturbed": {str(index): what for index, what in cell.disturbed.items()},
        "median": summary.median and summary.median.value,
        "ci95": _interval(summary.median),
        "net_median": summary.net and summary.net.value,
        "net_ci95": _interval(summary.net),
        "baseline": case.baseline,
        "ratio": summary.ratio and summary.ratio.value,
        "ratio_ci99": _interval(summary.ratio),
        "net_ratio": summary.net_ratio and summary.net_ratio.value,
        "net_ratio_ci99": _interval(summary.net_ratio),
        "verdict": summary.verdict and summary.verdict.value,
        "no_ratio": summary.no_ratio,
        "used": summary.used,
        "set_aside": summary.set_aside,
        **{p.name: p.document(cell.passes[p.name]) if p.name in cell.passes else None for p in registry.PASSES},
    }


def _interval(estimate: Estimate | None) -> list[float] | None:
    return [estimate.low, estimate.high] if estimate and estimate.covered else None
