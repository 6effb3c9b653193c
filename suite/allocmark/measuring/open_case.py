# SPDX-License-Identifier: BSD-3-Clause
"""One case while rounds are added to it: what earlier rounds found, and when no more are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import count

from allocmark.measuring.case_plan import CasePlan
from allocmark.measuring.request import Request
from allocmark.measuring.schedule import CaseRun, Known, Teller
from allocmark.plugins import Entry
from allocmark.results.merge import has_failed, merged
from allocmark.results.records import MeasuredCase, MeasuredCell
from allocmark.results.summary import summarise_case
from allocmark.stats import LOOKS, MOST_PER_USABLE, Verdict, usual_conditions

TRIES = 2  #: processes that must fail before a cell is given up


class OpenCase:
    """A case of a run and its rounds so far. ``ratios`` are compared in the whole run, and share the error allowed."""

    def __init__(
        self, plan: CasePlan, request: Request, baseline: str | None, ratios: int, rounds: Iterable[MeasuredCase]
    ) -> None:
        self.plan = plan
        self.done = False
        self.usable = 0  #: rounds that were measured under the usual conditions
        self.rounds: list[MeasuredCase] = []
        self.set_aside = 0  #: rounds that were measured under others
        self._looked = 0  # at so many rounds
        self._request = request
        self._baseline = baseline
        self._ratios = ratios
        self._known = Known()
        for each in rounds:
            self.add(each)

    @property
    def round_seconds(self) -> float | None:
        """How long a round takes, None before the first."""
        return sum(each.seconds for each in self.rounds) / len(self.rounds) if self.rounds else None

    @property
    def rounds_left(self) -> int:
        """How many follow, if none is told before and all of them are usable."""
        return 0 if self.done else max(self._request.rounds - len(self.rounds) + self.set_aside, 0)

    def next_round(
        self, probe_plugins: Sequence[Entry], stopping: Callable[[], bool], progress: Teller
    ) -> MeasuredCase | None:
        """Measure one more; None when it was stopped. It is not added yet."""
        taken = {each.round for each in self.rounds}
        # A damaged round that was removed is measured again.
        number = next(n for n in count() if n not in taken)
        running = CaseRun(
            self.plan, self._request, number, known=self._known, probe_plugins=probe_plugins, stopping=stopping
        )
        record = running.run(progress)
        if record and number:  # what probes find is much, and much the same in each process
            record = replace(record, cells=tuple(replace(cell, probes={}) for cell in record.cells))
        return record

    def add(self, record: MeasuredCase) -> None:
        """Take a round, and see whether it was the last."""
        self.rounds.append(record)
        blocks = [block for each in self.rounds for block in each.blocks]
        self.usable = self._known.usable = len(usual_conditions(blocks).rounds)
        self.set_aside = len({block.round for block in blocks}) - self.usable
        self._give_up()
        compared = [cell for cell in record.cells if not cell.floor] or record.cells  # the floor may be alone
        self.done = self._has_enough() or all(map(self._lost, compared)) or self._looks_and_is_told()

    def _has_enough(self) -> bool:
        """Those that were asked for, and others in place of those that were set aside, where verdicts are wanted."""
        asked, made = self._request.rounds, len(self.rounds)
        most = MOST_PER_USABLE * asked if asked >= LOOKS[0] else asked
        return made - self.set_aside >= asked or made >= most

    def _looks_and_is_told(self) -> bool:
        """At the first round with which so many are usable, and only then: each look has its share of the error."""
        due = max((n for n in LOOKS if n <= self.usable), default=0)
        if due <= self._looked:
            return False
        self._looked = due
        return self._told()

    def _give_up(self) -> None:
        reasons = {}
        for cell in self.rounds[-1].cells:
            found = [c for each in self.rounds for c in each.cells if c.label == cell.label and c.status == "failed"]
            if len(found) >= TRIES and has_failed(len(found), len(self.rounds)):
                reasons[cell.label] = found[-1].reason or "no reason given"
        self._known.given_up = reasons

    def _lost(self, cell: MeasuredCell) -> bool:
        return cell.status == "unavailable" or cell.label in self._known.given_up

    def _told(self) -> bool:
        """Whether every ratio has a verdict."""
        summary = summarise_case(merged(self.rounds), self.plan.record, self._baseline, self._ratios)
        return all(cell.verdict is not Verdict.CANNOT_TELL for cell in summary.cells)
