# SPDX-License-Identifier: BSD-3-Clause
"""TurboMem in one case beside the best of DPDK's handlers there: how many times cheaper, and what is certain.

Costs are compared round by round, each round with fresh processes. Compared are *gross*, all that the workload does;
*net*, what the floor does not cost; and its two parts, the pool's *own work* and the *placement* of what it hands out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dpdk_parts import OURS

from allocmark import stats
from allocmark.output.text.figures import assignments
from allocmark.results.store import Run
from allocmark.results.summary import CaseSummary, CellSummary, summarise
from allocmark.stats import Estimate, Verdict

GROSS, NET, OWN, PLACEMENT = "gross", "net", "own work", "placement"
MEASURES = (GROSS, NET, OWN, PLACEMENT)
NOT_MEASURED = "not measured"
#: ns per object. A cost below, or below 0, counts as this: a difference of two costs is no better.
LEAST_COST = 0.01


@dataclass(frozen=True)
class Row:
    """A case: TurboMem's cell and the ``rival``, the best handler, None where none gave figures.

    ``ratios`` are TurboMem's costs divided by the rival's, by measure, where both are there.
    """

    case: CaseSummary
    cell: CellSummary
    rival: CellSummary | None
    ratios: Mapping[str, Estimate]

    @property
    def place(self) -> str:
        """The workload and its parameters."""
        return f"{self.cell.cell.workload} {assignments(self.cell.cell.parameters)}"

    def times(self, measure: str) -> Estimate | None:
        """How many times cheaper TurboMem is; None where nothing can be said."""
        return times_cheaper(self.ratios.get(measure))

    def verdict(self, measure: str) -> str:
        """Whether it is certainly faster or slower."""
        split = "placement" in self.cell.cell.passes
        if measure in (OWN, PLACEMENT) and not split:
            return NOT_MEASURED
        unclear = self.cell.no_verdict or (self.rival and self.rival.no_verdict)
        return Verdict.CANNOT_TELL if unclear else stats.verdict(self.ratios.get(measure))


def rows_of(runs: Iterable[Run]) -> list[Row]:
    """A row for each case of the ``runs``. All of a measure share the error that is allowed."""
    cases = [case for run in runs for case in summarise(run)]
    return [_row(case, len(cases)) for case in cases]


def _row(case: CaseSummary, ratios: int) -> Row:
    by_label = {cell.cell.label: cell for cell in case.cells}
    ours = by_label[OURS]
    # Where no handler gave figures, the baseline is another one.
    rival = by_label.get(case.baseline or "") if not case.no_baseline else None
    found: dict[str, Estimate] = {}
    if rival:
        floor = by_label[case.floor].values if case.floor else {}
        own, theirs = (_net_costs(cell, floor) for cell in (ours, rival))
        logs = {GROSS: stats.log_ratios(ours.blocks, rival.blocks, case.rounds)}
        logs |= {measure: log_ratios(own[measure], theirs[measure]) for measure in own}
        for measure, by_round in logs.items():
            if ratio := stats.final_look([*by_round.values()], ratios):
                found[measure] = ratio
    return Row(case, ours, rival, found)


def _net_costs(cell: CellSummary, floor: Mapping[int, float]) -> dict[str, Mapping[int, float]]:
    placement = cell.cell.passes.get("placement")
    replayed = placement.rounds if placement else {}  # the same addresses, handed out without a pool
    return {
        NET: cell.nets,
        OWN: stats.difference(cell.values, replayed),
        PLACEMENT: stats.difference({r: ns for r, ns in replayed.items() if r in cell.values}, floor),
    }


def log_ratios(ours: Mapping[int, float], theirs: Mapping[int, float]) -> dict[int, float]:
    """ln(ours / theirs) by round, for the rounds that have both; see `LEAST_COST`."""
    return {
        each: stats.log_ratio(max(ours[each], LEAST_COST), max(theirs[each], LEAST_COST))
        for each in ours
        if each in theirs
    }


def times_cheaper(ratio: Estimate | None) -> Estimate | None:
    """The reciprocal of a ratio of costs; None where it is none, or has no interval."""
    if ratio is None or not ratio.covered:
        return None
    return Estimate(1 / ratio.value, 1 / ratio.high, 1 / ratio.low, ratio.n, covered=True)


def holds(times: Estimate | None, target: float) -> str:
    """Whether TurboMem is certainly as many times cheaper as ``target`` says, or certainly not."""
    if times is None or not times.covered or times.low < target <= times.high:
        return "cannot tell"
    return "holds" if times.low >= target else "falls short"


def mean(rows: Sequence[Row], measure: str) -> Estimate | None:
    """The geometric mean of how many times cheaper TurboMem is, over the cells that tell."""
    return stats.geometric_mean([times for row in rows if (times := row.times(measure))])
