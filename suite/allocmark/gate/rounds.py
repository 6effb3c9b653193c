# SPDX-License-Identifier: BSD-3-Clause
"""Measures pairs of cells in rounds, until each has a verdict or the budget is spent.

A round of a pair starts one fresh process per side and gives one figure, as in a run: the median of the blocks' log
ratios. Every round has new processes, so a new place in memory, and comes at another time; the interval over the rounds
covers what both do to the figure.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from allocmark import stats
from allocmark.gate.journal import Journal
from allocmark.gate.pairs import Pair
from allocmark.measuring.request import Request
from allocmark.measuring.schedule import CaseRun, Progress
from allocmark.passes import registry
from allocmark.results.records import Block, MeasuredCase, MeasuredCell
from allocmark.stats import LOOKS, Estimate, look

LIMIT = 0.02  #: a slowdown of this much must not pass
MINUTES = 10.0  #: the budget
SAMPLE_MS = 2.0  #: short, so that many samples lie between two interruptions
BLOCKS = 30  #: per round
MOST_ROUNDS = 2 * LOOKS[-1]  #: per pair, void ones included

FACT_ROUNDS = 6  #: the first rounds, which also count: several, as what depends on addresses varies

Facts = Mapping[str, float]


@dataclass(frozen=True)
class GateRequest:
    """What a gate or a bisection is asked for, beside its two revisions.

    ``cells`` are compared, as `cells_of` makes them; those of backends with equal files only when ``unchanged`` is set.
    A slowdown of ``limit`` (0.02 is 2 %) must not pass. ``minutes`` is the budget of one comparison.
    """

    repository: Path
    cells: Request
    limit: float = LIMIT
    minutes: float = MINUTES
    unchanged: bool = False
    report: Callable[[Progress], None] = lambda _: None


def cells_of(**values: Any) -> Request:
    """A request for cells, with the samples of a round."""
    return Request(blocks=BLOCKS, sample_ms=SAMPLE_MS, **values)


@dataclass(frozen=True)
class Round:
    """``log``: ln(head / base), None when the round is void, as the machine changed in every block. ``base``, ``head``:
    medians in ns per object. ``distance_ns`` and ``pace_ns`` as in `stats.Conditions`."""

    log: float | None
    base: float
    head: float
    distance_ns: float | None
    pace_ns: float | None
    facts: tuple[Facts, Facts]


@dataclass
class Tally:
    """The rounds of a pair. ``failure`` says why it cannot be measured."""

    pair: Pair
    cells: int  #: how many cells share the error that is allowed
    rounds: list[Round] = field(default_factory=list)
    failure: str | None = None

    def used(self) -> list[Round]:
        """The rounds with the core-to-core distance and the speed that most of them have."""
        valid = [each for each in self.rounds if each.log is not None]
        alike = [Block(each.distance_ns, False, i, each.pace_ns) for i, each in enumerate(valid)]
        kept = stats.usual_conditions(alike).kept
        return [each for index, each in enumerate(valid) if index in kept]

    def ratio(self) -> Estimate | None:
        """Head over base at the last look; None before the first."""
        return look([each.log for each in self.used() if each.log is not None], self.cells)

    def facts(self) -> dict[str, tuple[float, float]]:
        """Counted figures that separate the sides, (base, head) by name: the medians, where no two values overlap."""
        found = {}
        for name in self.rounds[0].facts[0] if self.rounds else ():
            old, new = ([each.facts[i][name] for each in self.rounds if name in each.facts[i]] for i in (0, 1))
            if old and new and (max(old) < min(new) or max(new) < min(old)):
                found[name] = stats.median(old), stats.median(new)
        return found


def measure_rounds(
    pairs: Sequence[Pair], asked: GateRequest, journal: Journal, decided: Callable[[Estimate | None], bool]
) -> list[Tally]:
    """Measure until every pair's ratio is ``decided``, or the budget is spent; rounds in the journal count for both.

    After Ctrl-C or a kill the same call continues from the journal: only the round in flight is lost.
    """
    tallies = {pair.key: Tally(pair, len(pairs)) for pair in pairs}
    spent = 0.0
    for record in journal.records:
        spent += record["seconds"]
        _add(tallies[record["pair"]], record)
    while open_ones := [tally for tally in tallies.values() if not _closed(tally, decided)]:
        for tally in open_ones:
            if spent >= 60 * asked.minutes:
                return list(tallies.values())
            title = f"{tally.pair.label} {tally.pair.case.record.title}"
            left = 60 * asked.minutes - spent
            shown = Progress(spent / (spent + left), f"{title}, round {len(tally.rounds) + 1}", "", left)
            record = _round(tally, asked.cells, lambda what, p=shown: asked.report(replace(p, doing=what)))
            spent += record["seconds"]
            journal.append(record)
            _add(tally, record)
    return list(tallies.values())


def _closed(tally: Tally, decided: Callable[[Estimate | None], bool]) -> bool:
    if tally.failure or len(tally.rounds) >= MOST_ROUNDS or len(tally.used()) >= LOOKS[-1]:
        return True
    return decided(tally.ratio())


def _add(tally: Tally, record: Mapping[str, Any]) -> None:
    if "failure" in record:
        tally.failure = record["failure"]
    else:
        old, new = record["facts"]
        values = {name: record[name] for name in ("log", "base", "head", "distance_ns", "pace_ns")}
        tally.rounds.append(Round(**values, facts=(old, new)))


def _round(tally: Tally, request: Request, progress: Callable[..., None]) -> dict[str, Any]:
    begun = time.monotonic()
    # The side that starts first changes from round to round; within a round the blocks alternate by themselves.
    number = len(tally.rounds)
    turned = number % 2
    cells = tally.pair.case.cells
    case = replace(tally.pair.case, cells=cells[::-1] if turned else cells)
    passes = registry.scheduled(registry.counting() if number < FACT_ROUNDS else ())
    finished = CaseRun(case, request, number, passes=passes).run(progress)
    assert finished  # only a stopped round has nothing to keep
    base, head = finished.cells[::-1] if turned else finished.cells
    record = _failure(base, head) or _figures(finished, base, head)
    return {"pair": tally.pair.key, "seconds": round(time.monotonic() - begun, 3), **record}


def _failure(base: MeasuredCell, head: MeasuredCell) -> dict[str, Any] | None:
    failed = [f"{side}: {cell.reason}" for side, cell in (("base", base), ("head", head)) if cell.status != "ok"]
    return {"failure": "; ".join(failed)} if failed else None


def _figures(case: MeasuredCase, base: MeasuredCell, head: MeasuredCell) -> dict[str, Any]:
    usual = stats.usual_conditions(case.blocks)
    old = stats.block_medians(base.samples, base.blocks, usual.kept)
    new = stats.block_medians(head.samples, head.blocks, usual.kept)
    logs = stats.log_ratios(new, old, [0] * len(case.blocks))
    return {
        "log": logs.get(0),
        "base": stats.median(base.samples),
        "head": stats.median(head.samples),
        "distance_ns": usual.distance_ns,
        "pace_ns": usual.pace_ns,
        "samples": [list(base.samples), list(head.samples)],
        "blocks": [vars(block) for block in case.blocks],
        "facts": [_facts(base), _facts(head)],
    }


def _facts(cell: MeasuredCell) -> Facts:
    """What the memory probe found for each pool after the samples, and what passes counted."""
    pools = cell.probes.get("after", {}).get("memory", {}).get("pools", {})
    facts = {
        f"resident bytes per object beyond its size, pool {key}": pool["over_size"]
        for key, pool in pools.items()
        if pool.get("over_size") is not None
    }
    for each in registry.PASSES:
        if each.name in cell.passes:
            facts |= each.facts(cell.passes[each.name])
    return facts
