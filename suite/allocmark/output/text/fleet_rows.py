# SPDX-License-Identifier: BSD-3-Clause
"""What the machines of a fleet say, in the rows that the table and the page show. Figures are never averaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from allocmark.output.text.figures import assignments, counted, plain, varied
from allocmark.output.text.wording import failures, outcome
from allocmark.results.records import PlannedCase
from allocmark.results.summary import CaseSummary, CellSummary
from allocmark.stats import Verdict

Found = Mapping[str, Mapping[str, CaseSummary]]  #: by kind of machine, then by the title of the case

NEVER_AVERAGED = (
    "Each figure is of one machine of its kind: the ratio to the baseline, with its 99 % interval. None is averaged "
    "over machines."
)


@dataclass(frozen=True)
class FleetMachine:
    """A machine that took part. ``facts`` and ``versions`` are lines for people, ``folder`` is where its runs lie.

    ``home`` of its runs are there, and ``left_out`` says which backends it could not measure.
    """

    name: str
    kind: str
    facts: str
    versions: str
    folder: str
    home: int
    left_out: Sequence[str] = ()


@dataclass(frozen=True)
class FleetSummary:
    """What the folder of a fleet holds. ``wanted`` cases were asked of all kinds of machines together.

    ``lost`` has a line for each machine that was lost or refused, ``given_up`` the cases that nobody measured: kind,
    title and why.
    """

    folder: str
    created: str
    argv: Sequence[str]
    found: Found
    machines: Sequence[FleetMachine]
    wanted: int
    lost: Sequence[str] = ()
    given_up: Sequence[tuple[str, str, str]] = ()

    @property
    def letters(self) -> dict[str, str]:
        """A short name for each kind of machine, which heads its column."""
        return {kind: chr(ord("A") + i) if i < 26 else f"A{i}" for i, kind in enumerate(self.found)}

    @property
    def home(self) -> int:
        """How many of the wanted cases were measured."""
        return sum(map(len, self.found.values()))


@dataclass(frozen=True)
class FleetEntry:
    """What one kind of machine says of a backend in a case.

    ``other`` names the baseline where it is another one than the kinds beside it compare with.
    """

    case: CaseSummary
    cell: CellSummary
    other: str | None = None

    @property
    def word(self) -> str:
        """The verdict, or why there is none."""
        word = outcome(self.case, self.cell)
        return f"{word} (to {plain(self.other)})" if self.other and self.cell.ratio else word


@dataclass(frozen=True)
class FleetRow:
    """A backend in a case, with an entry for each kind of machine; None where that kind did not measure it."""

    planned: PlannedCase
    label: str
    entries: tuple[FleetEntry | None, ...]

    @property
    def verdicts(self) -> list[Verdict]:
        """Those that compare with the same baseline."""
        there = [entry for entry in self.entries if entry and entry.other is None]
        return [entry.cell.verdict for entry in there if entry.cell.verdict is not None]

    @property
    def over_kinds(self) -> str:
        """How many kinds of machines agree."""
        return agreement(self.verdicts)


@dataclass(frozen=True)
class FleetWorkload:
    """A workload: its rows, by case, the parameters that vary with their values, and the others in words."""

    name: str
    varying: Mapping[str, Sequence[Any]]
    fixed: str
    cases: Sequence[Sequence[FleetRow]]


def agreement(verdicts: Sequence[Verdict]) -> str:
    """``faster on 3 of 4, cannot tell on 1``; ``faster on all 4``."""
    counts = Counter(verdicts)
    if len(counts) == 1:
        (verdict,) = counts
        return f"{verdict} on all {len(verdicts)}" if len(verdicts) > 1 else str(verdict)
    said = [f"{verdict} on {counts[verdict]}" for verdict in Verdict if counts[verdict]]
    return ", ".join([f"{said[0]} of {len(verdicts)}", *said[1:]]) if said else ""


def fleet_workloads(found: Found) -> list[FleetWorkload]:
    """Every workload that some kind of machine measured."""
    planned = {title: case.planned for cases in found.values() for title, case in cases.items()}
    workloads: dict[str, list[str]] = {}
    for title, case in planned.items():
        workloads.setdefault(case.workload, []).append(title)
    return [_workload(name, found, [planned[title] for title in titles]) for name, titles in workloads.items()]


def _workload(name: str, found: Found, cases: Sequence[PlannedCase]) -> FleetWorkload:
    parameters = [case.parameters for case in cases]
    varying, others = varied(parameters)
    return FleetWorkload(
        name,
        {key: [each[key] for each in parameters if key in each] for key in varying},
        assignments(parameters[0], others),
        [_rows(found, case) for case in cases],
    )


def _rows(found: Found, planned: PlannedCase) -> list[FleetRow]:
    cases = [kind.get(planned.title) for kind in found.values()]
    base = _base([case for case in cases if case])
    labels = dict.fromkeys(cell.cell.label for case in cases if case for cell in case.cells if not cell.cell.floor)
    return [FleetRow(planned, label, tuple(_entry(case, label, base) for case in cases)) for label in labels]


def _entry(case: CaseSummary | None, label: str, base: str | None) -> FleetEntry | None:
    cell = next((cell for cell in case.cells if cell.cell.label == label), None) if case else None
    if case is None or cell is None:
        return None
    return FleetEntry(case, cell, None if _compared(case) == base else case.baseline)


def _base(cases: Sequence[CaseSummary]) -> str | None:
    """What most can be compared in: the baseline that was asked for, else the one that took its place first."""
    compared = [_compared(case) for case in cases]
    return None if None in compared else compared[0]


def _compared(case: CaseSummary) -> str | None:
    """None where the ratios are to what was asked for, of whose family each machine may take another one."""
    return case.baseline if case.no_baseline else None


def without_figures(summary: FleetSummary) -> Iterator[str]:
    """A line for each backend without figures and reason, with the kinds of machines where that is so."""
    told: dict[str, list[str]] = {}
    for kind, cases in summary.found.items():
        cells = [cell.cell for case in cases.values() for cell in case.cells]
        names = {cell.label: plain(cell.label) for cell in cells}
        for (name, status, why, fix), times in failures(cells, names).items():
            remedy = f"; to change that: {fix}" if fix else ""
            line = f"{name} {status} in {counted(times, 'case')}: {why}{remedy}"
            told.setdefault(line, []).append(summary.letters[kind])
    for machine in summary.machines:
        for line in map(plain, machine.left_out):
            told.setdefault(f"left out: {line}", []).append(plain(machine.name))
    for line, where in told.items():
        yield f"{line} (on {', '.join(where)})"


def unmeasured(summary: FleetSummary) -> list[str]:
    """A line for each case that nobody measured."""
    return [f"{plain(title)} on {plain(kind)}: {plain(why)}" for kind, title, why in summary.given_up]
