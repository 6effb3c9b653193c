# SPDX-License-Identifier: BSD-3-Clause
"""What a run says: medians, figures net of the floor and ratios to a baseline, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from allocmark import stats
from allocmark.errors import UsageError
from allocmark.run.records import UNIT, Cell, Group, PlannedGroup
from allocmark.run.store import Run
from allocmark.stats import Distance, Estimate, Verdict

DOCUMENT_FORMAT = 1


@dataclass(frozen=True)
class CellSummary:
    """One cell's figures, in ns an object.

    ``values`` are its block medians. Every estimate is None where it cannot be had: no sample was used, the
    group has no floor (``net``), or ``no_ratio`` says why there is no ratio. ``verdict`` rests on
    ``ratio``. Of the samples, ``used`` count, ``disturbed`` of those are marked, and ``set_aside`` lie in
    blocks left out.
    """

    cell: Cell
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
class GroupSummary:
    """The cells of one workload with one set of parameters.

    ``baseline`` and ``floor`` are labels, None when the group has none; ``no_baseline`` then says why.
    """

    planned: PlannedGroup
    cells: tuple[CellSummary, ...]
    distance: Distance
    baseline: str | None
    no_baseline: str | None
    floor: str | None


def summarise(run: Run, baseline: str | None = None) -> list[GroupSummary]:
    """The complete groups of a run, in the order of the plan.

    ``baseline`` is ``BACKEND`` (its first variant in the plan) or ``BACKEND:VARIANT``; without one it is
    the one the run was started with, else the first cell of each group that gave figures and is not the
    floor. Raises UsageError when it is nowhere in the plan.
    """
    wanted = baseline or run.header.baseline
    if wanted is not None:
        _check(run, wanted)
    return [_summarise(group, run.header.plan[group.group], wanted) for group in run.groups]


def _check(run: Run, wanted: str) -> None:
    planned = [cell for group in run.header.plan for cell in group.cells]
    if not any(wanted in (cell.backend, cell.label) for cell in planned):
        possible = ", ".join(dict.fromkeys(cell.label for cell in planned))
        raise UsageError(f"baseline {wanted!r} is not in {run.path}: possible are {possible}")


def _summarise(group: Group, planned: PlannedGroup, wanted: str | None) -> GroupSummary:
    distance = stats.dominant_distance(group.blocks)
    values: dict[str, dict[int, float]] = {cell.label: {} for cell in group.cells}
    for cell in group.cells:
        if cell.status == "ok":
            values[cell.label] = stats.block_medians(cell.samples, cell.blocks, distance.kept)
    floor = next((c.label for c in group.cells if c.floor and values[c.label]), None)
    base, why = _baseline(group, planned, values, wanted)
    net = {
        cell.label: stats.net(values[cell.label], values[floor]) if floor and not cell.floor else {}
        for cell in group.cells
    }
    cells = tuple(_cell(cell, values, net, base, why, distance) for cell in group.cells)
    return GroupSummary(planned, cells, distance, base, why, floor)


def _cell(
    cell: Cell,
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
    group: Group, planned: PlannedGroup, values: Mapping[str, Mapping[int, float]], wanted: str | None
) -> tuple[str | None, str | None]:
    if wanted is None:
        first = next((c.label for c in group.cells if values[c.label] and not c.floor), None)
        return first, None if first else "no backend gave figures here"
    label = next((c.label for c in planned.cells if wanted in (c.backend, c.label)), None)
    if label is None:
        return None, f"the baseline {wanted} does not run this workload"
    # Never replaced by a variant that did run: the reader asked for this one.
    cell = next((c for c in group.cells if c.label == label), None)
    if cell is None:
        return None, f"the baseline {label} was not measured"
    if not values[label]:
        what = cell.status if cell.status != "ok" else "without a usable sample"
        return None, f"the baseline {label} is {what}" + (f": {cell.reason}" if cell.reason else "")
    return label, None


def document(run: Run, baseline: str | None = None) -> dict[str, Any]:
    """The run as one document that strict JSON can hold: raw samples, estimates, verdicts; docs/method.md.

    An interval is null where its confidence could not be reached.
    """
    header = run.header
    summaries = summarise(run, baseline)
    return {
        "format": DOCUMENT_FORMAT,
        "id": header.id,
        "created": header.created,
        "argv": list(header.argv),
        "seed": header.seed,
        "baseline": baseline or header.baseline,
        "complete": run.end is not None and not run.end.interrupted and len(run.groups) == len(header.plan),
        "environment": dict(header.environment),
        "settings": dict(header.settings),
        "groups": [_group_document(s, g) for s, g in zip(summaries, run.groups, strict=True)],
        "cells": [_cell_document(cell, group) for group in summaries for cell in group.cells],
    }


def _group_document(summary: GroupSummary, group: Group) -> dict[str, Any]:
    return {
        "group": group.group,
        "workload": summary.planned.workload,
        "digest": summary.planned.digest,
        "parameters": dict(summary.planned.parameters),
        "actors": summary.planned.actors,
        "baseline": summary.baseline,
        "no_baseline": summary.no_baseline,
        "floor": summary.floor,
        "distance_ns": summary.distance.ns,
        "blocks": [{**vars(b), "used": i in summary.distance.kept} for i, b in enumerate(group.blocks)],
        "seconds": group.seconds,
        "measured_seconds": group.measured_seconds,
    }


def _cell_document(summary: CellSummary, group: GroupSummary) -> dict[str, Any]:
    cell = summary.cell
    return {
        "group": cell.group,
        "workload": cell.workload,
        "parameters": dict(cell.parameters),
        "backend": cell.backend,
        "variant": cell.variant,
        "version": cell.version,
        "floor": cell.floor,
        "status": cell.status,
        "reason": cell.reason,
        "fix": cell.fix,
        "unit": UNIT,
        "median": summary.median and summary.median.value,
        "ci95": _interval(summary.median),
        "net_median": summary.net and summary.net.value,
        "net_ci95": _interval(summary.net),
        "baseline": group.baseline,
        "ratio": summary.ratio and summary.ratio.value,
        "ratio_ci99": _interval(summary.ratio),
        "net_ratio": summary.net_ratio and summary.net_ratio.value,
        "net_ratio_ci99": _interval(summary.net_ratio),
        "verdict": summary.verdict and summary.verdict.value,
        "no_ratio": summary.no_ratio,
        "objects": cell.objects,
        "samples": list(cell.samples),
        "blocks": list(cell.blocks),
        "disturbed": {str(index): list(what) for index, what in cell.disturbed.items()},
        "used": summary.used,
        "set_aside": summary.set_aside,
        "attestation": dict(cell.attestation),
        "probes": dict(cell.probes),
        "setup_seconds": cell.setup_seconds,
    }


def _interval(estimate: Estimate | None) -> list[float] | None:
    return [estimate.low, estimate.high] if estimate and estimate.covered else None
