# SPDX-License-Identifier: BSD-3-Clause
"""What a run says of each cell: medians, what is left without the floor, and ratios to a baseline."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from allocmark import stats
from allocmark.errors import UsageError
from allocmark.passes import registry
from allocmark.results.records import MeasuredCase, MeasuredCell, PlannedCase
from allocmark.results.store import Run
from allocmark.stats import Conditions, Estimate, Modes, Verdict

DOCUMENT_FORMAT = 3  #: 1 called a case a group; 1 and 2 knew no rounds


MOST_DISTURBED = 0.5  #: of a cell's samples: when more are disturbed, nothing is concluded from them


@dataclass(frozen=True)
class CellSummary:
    """One cell's figures, in ns per object.

    ``values`` are the medians of its rounds, each of one process, and ``nets`` those without the floor; ``blocks`` are
    those of blocks, by their index.
    ``modes`` are groups of slow and fast processes, None where they are one. Every estimate is None where it cannot be
    had: no sample was used, the case has no floor (``net``), or ``no_ratio`` says why there is no ratio. ``verdict``
    rests on ``ratio``, unless ``no_verdict`` says why nothing is concluded. ``net`` is what the floor does not cost:
    ``own`` of the backend's own work, and ``placement`` of the memory that it hands out, where that was measured. Of
    the samples, ``used`` count, ``disturbed`` of those are marked, and ``set_aside`` lie in blocks left out.
    """

    cell: MeasuredCell
    values: Mapping[int, float]
    blocks: Mapping[int, float]
    nets: Mapping[int, float]
    modes: Modes | None
    median: Estimate | None
    net: Estimate | None
    own: Estimate | None
    placement: Estimate | None
    ratio: Estimate | None
    net_ratio: Estimate | None
    verdict: Verdict | None
    no_ratio: str | None
    no_verdict: str | None
    used: int
    disturbed: int
    set_aside: int


@dataclass(frozen=True)
class CaseSummary:
    """The cells of one workload with one set of parameters.

    ``baseline`` and ``floor`` are labels, None when the case has none; ``no_baseline`` says why it is not the one that
    was asked for, ``no_net`` why nothing is subtracted although there is a floor. ``ratios`` are compared in the whole
    run, and share the error that is allowed.
    """

    planned: PlannedCase
    measured: MeasuredCase
    cells: tuple[CellSummary, ...]
    conditions: Conditions
    baseline: str | None
    no_baseline: str | None
    floor: str | None
    no_net: str | None
    ratios: int

    @cached_property
    def rounds(self) -> Sequence[int]:
        """The round of each block."""
        return [block.round for block in self.measured.blocks]

    def ratio(self, cell: CellSummary, other: CellSummary) -> Estimate | None:
        """The cost of one cell over that of another; None when no round has both."""
        return _ratio(cell.blocks, other.blocks, self.rounds, self.ratios)

    def verdict(self, cell: CellSummary, other: CellSummary) -> Verdict:
        """What the ratio of two cells allows to say; nothing where most samples of either were disturbed."""
        if any(_too_disturbed(each.used, each.disturbed) for each in (cell, other)):
            return Verdict.CANNOT_TELL
        return stats.verdict(self.ratio(cell, other))

    def net_ratio(self, cell: CellSummary, other: CellSummary) -> Estimate | None:
        """The same of net costs; None also when one of them may be 0."""
        return _net_ratio(cell.nets, other.nets, self.ratios)


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
    ratios = ratios_of(run.header.plan)
    return [summarise_case(case, run.header.plan[case.case], wanted, ratios) for case in run.cases]


def ratios_of(plan: Iterable[PlannedCase]) -> int:
    """How many ratios a run of the plan compares: in each case, all cells but the floor and the baseline."""
    return max(1, sum(max(0, sum(not cell.floor for cell in case.cells) - 1) for case in plan))


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


def summarise_case(case: MeasuredCase, planned: PlannedCase, wanted: str | None, ratios: int) -> CaseSummary:
    """One case, over the rounds that are in it; ``wanted`` and ``ratios`` as in `summarise` and `CaseSummary`."""
    conditions = stats.usual_conditions(case.blocks)
    rounds = [block.round for block in case.blocks]
    blocks = {
        cell.label: stats.block_medians(cell.samples, cell.blocks, conditions.kept) if cell.status == "ok" else {}
        for cell in case.cells
    }
    values = {label: stats.round_medians(found, rounds) for label, found in blocks.items()}
    floor = next((c.label for c in case.cells if c.floor and values[c.label]), None)
    base, no_baseline = _baseline(case, planned, values, wanted)
    no_net = None
    if floor is not None:
        below = [
            cell.label
            for cell in case.cells
            if not cell.floor
            and (ratio := _ratio(blocks[cell.label], blocks[floor], rounds, ratios))
            and stats.verdict(ratio) is Verdict.FASTER
        ]
        if below:
            no_net = f"{', '.join(below)} costs less than the floor here, so nothing can be subtracted"
    parts = {
        cell.label: {} if cell.floor else _parts(cell, values[cell.label], values[floor] if floor else {})
        for cell in case.cells
    }
    if no_net:
        for each in parts.values():
            each.pop("net", None)
    noisy = {cell.label: _noise(cell, blocks[cell.label]) for cell in case.cells}
    cells = tuple(
        _cell(cell, values, blocks, parts, noisy, base, no_baseline, conditions, rounds, ratios) for cell in case.cells
    )
    return CaseSummary(planned, case, cells, conditions, base, no_baseline, floor, no_net, ratios)


def _parts(cell: MeasuredCell, gross: Mapping[int, float], floor: Mapping[int, float]) -> dict[str, dict[int, float]]:
    """By round: what a cell costs beyond the floor, and how much of that is placement and its own work."""
    net = {"net": stats.difference(gross, floor)}
    # Own work needs no floor.
    placement = cell.passes.get("placement")
    replayed = {r: ns for r, ns in placement.rounds.items() if r in gross} if placement else {}
    if not replayed:
        return net
    return net | {"own": stats.difference(gross, replayed), "placement": stats.difference(replayed, floor)}


def _cell(
    cell: MeasuredCell,
    values: Mapping[str, Mapping[int, float]],
    blocks: Mapping[str, Mapping[int, float]],
    parts: Mapping[str, Mapping[str, Mapping[int, float]]],
    noisy: Mapping[str, str | None],
    base: str | None,
    why: str | None,
    conditions: Conditions,
    rounds: Sequence[int],
    ratios: int,
) -> CellSummary:
    own, own_blocks = values[cell.label], blocks[cell.label]
    medians = {name: _median(found) for name, found in parts[cell.label].items()}
    used, disturbed = _marked(cell, own_blocks)
    no_verdict = noisy[cell.label]
    if base is not None and not no_verdict and noisy[base]:
        no_verdict = f"of the baseline {noisy[base]}"
    ratio = net_ratio = verdict = None
    if not own:
        taken = "all of its samples were set aside" if cell.samples else "not measured: no other backend could run here"
        why = cell.reason if cell.status != "ok" else taken
    elif cell.label == base:
        why = "this is the baseline"
    elif cell.floor:
        why = "this is the floor"
    elif base is not None:
        ratio = _ratio(own_blocks, blocks[base], rounds, ratios)
        net_ratio = _net_ratio(parts[cell.label].get("net", {}), parts[base].get("net", {}), ratios)
        verdict = Verdict.CANNOT_TELL if no_verdict else stats.verdict(ratio)
        why = None if ratio else f"no round has both it and {base}"
    return CellSummary(
        cell=cell,
        values=own,
        blocks=own_blocks,
        nets=parts[cell.label].get("net", {}),
        modes=stats.modes(own.values()),
        median=_median(own),
        net=medians.get("net"),
        own=medians.get("own"),
        placement=medians.get("placement"),
        ratio=ratio,
        net_ratio=net_ratio,
        verdict=verdict,
        no_ratio=why,
        no_verdict=no_verdict,
        used=used,
        disturbed=disturbed,
        set_aside=sum(block not in conditions.kept for block in cell.blocks),
    )


def _marked(cell: MeasuredCell, blocks: Collection[int]) -> tuple[int, int]:
    """How many samples lie in ``blocks``, and how many of those were disturbed."""
    used = [index for index, block in enumerate(cell.blocks) if block in blocks]
    return len(used), sum(index in cell.disturbed for index in used)


def _noise(cell: MeasuredCell, blocks: Collection[int]) -> str | None:
    """Why nothing can be concluded from the samples in ``blocks``; None when it can."""
    used, disturbed = _marked(cell, blocks)
    return f"{disturbed} of {used} samples were disturbed" if _too_disturbed(used, disturbed) else None


def _too_disturbed(used: int, disturbed: int) -> bool:
    return disturbed > MOST_DISTURBED * used


def _median(values: Mapping[int, float]) -> Estimate | None:
    return stats.estimate(list(values.values()), stats.MEDIAN_CONFIDENCE) if values else None


def _ratio(
    values: Mapping[int, float], base: Mapping[int, float], rounds: Sequence[int], ratios: int
) -> Estimate | None:
    return stats.final_look([*stats.log_ratios(values, base, rounds).values()], ratios)


def _net_ratio(own: Mapping[int, float], base: Mapping[int, float], ratios: int) -> Estimate | None:
    """Only where both are certainly above 0: else a quotient has no meaning."""
    for values in (own, base):
        found = _median(values)
        if found is None or not found.covered or found.low <= 0:
            return None
    return stats.final_look([stats.log_ratio(own[each], base[each]) for each in own if each in base], ratios)


def _baseline(
    case: MeasuredCase, planned: PlannedCase, values: Mapping[str, Mapping[int, float]], wanted: str | None
) -> tuple[str | None, str | None]:
    first = next((c.label for c in case.cells if values[c.label] and not c.floor), None)
    if wanted is None:
        return first, None if first else "no backend gave figures here"
    if _is_family(wanted):
        found, why = _best(planned, values, wanted)
        return found or first, why
    label = next((c.label for c in planned.cells if _is_meant(c.label, wanted)), None)
    if label is None:
        return first, f"the baseline {wanted} does not run this workload"
    cell = next((c for c in case.cells if c.label == label), None)
    if cell is None:
        return first, f"the baseline {label} was not measured"
    if not values[label]:
        what = {"failed": "failed", "unavailable": "is unavailable"}.get(cell.status, "has no usable sample")
        return first, f"the baseline {label} {what}" + (f": {cell.reason}" if cell.reason else "")
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
        "no_net": summary.no_net,
        "rounds": case.rounds,
        "distance_ns": summary.conditions.distance_ns,
        "pace_ns": summary.conditions.pace_ns,
        "blocks": [{**vars(b), "used": i in summary.conditions.kept} for i, b in enumerate(case.blocks)],
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
        "own_work": summary.own and summary.own.value,
        "own_work_ci95": _interval(summary.own),
        "placement_cost": summary.placement and summary.placement.value,
        "placement_cost_ci95": _interval(summary.placement),
        "processes": {str(number): ns for number, ns in summary.values.items()},
        "modes": summary.modes and vars(summary.modes),
        "baseline": case.baseline,
        "ratio": summary.ratio and summary.ratio.value,
        "ratio_ci99": _interval(summary.ratio),
        "net_ratio": summary.net_ratio and summary.net_ratio.value,
        "net_ratio_ci99": _interval(summary.net_ratio),
        "verdict": summary.verdict and summary.verdict.value,
        "no_ratio": summary.no_ratio,
        "no_verdict": summary.no_verdict,
        "smallest_difference": stats.smallest_seen(summary.ratio),
        "rounds": len(summary.values),
        "used": summary.used,
        "set_aside": summary.set_aside,
        **{p.name: p.document(cell.passes[p.name]) if p.name in cell.passes else None for p in registry.PASSES},
    }


def _interval(estimate: Estimate | None) -> list[float] | None:
    return [estimate.low, estimate.high] if estimate and estimate.covered else None
