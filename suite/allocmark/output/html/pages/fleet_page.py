# SPDX-License-Identifier: BSD-3-Clause
"""The page of a fleet: a column for each kind of machine, how many agree, who took part and who was lost."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from allocmark import stats
from allocmark.output.html.charts import parameter_column
from allocmark.output.html.page_tables import Column, Datum, Table, tone, unbroken
from allocmark.output.html.pages.method_page import repeated
from allocmark.output.text.figures import counted, figure, interval, plain
from allocmark.output.text.fleet_rows import (
    NEVER_AVERAGED,
    FleetEntry,
    FleetMachine,
    FleetRow,
    FleetSummary,
    FleetWorkload,
    fleet_workloads,
    unmeasured,
    without_figures,
)
from allocmark.output.text.wording import verdicts_explained


@dataclass(frozen=True)
class FleetSection:
    """A workload of the page: the parameters that do not vary, in words, and its table."""

    name: str
    fixed: str
    ratios: Table


def fleet_page(summary: FleetSummary) -> dict[str, Any]:
    """What the template shows."""
    return {
        "headline": headline(summary),
        "facts": facts(summary),
        "missing": counted(missing, "case") if (missing := summary.wanted - summary.home) else "",
        "explained": [NEVER_AVERAGED, verdicts_explained("99 %", stats.MARGIN).capitalize()],
        "workloads": [
            FleetSection(each.name, each.fixed, _ratios(each, summary)) for each in fleet_workloads(summary.found)
        ],
        "machines": _machines(summary),
        "report": shlex.join(["allocmark", "report", f"{plain(summary.folder)}/MACHINE/CASE"]),
        "without_figures": list(without_figures(summary)),
        "lost": list(map(plain, summary.lost)),
        "unmeasured": unmeasured(summary),
    }


def headline(summary: FleetSummary) -> str:
    """What was measured, in one line."""
    workloads = fleet_workloads(summary.found)
    backends = {row.label for workload in workloads for case in workload.cases for row in case}
    cases = sum(len(workload.cases) for workload in workloads)
    return (
        f"{counted(len(backends), 'backend')} on {counted(cases, 'case')}, on {counted(len(summary.found), 'kind')} of "
        "machines"
    )


def facts(summary: FleetSummary) -> list[tuple[str, str]]:
    """What was asked, when, and how much of it is there: names and texts."""
    return [
        ("Machines", f"{len(summary.machines)}, of {counted(len(summary.found), 'kind')}"),
        ("Measured", f"{summary.home} of {counted(summary.wanted, 'case')} of all kinds together"),
        ("Begun", plain(summary.created.replace("T", " ").replace("+00:00", " UTC"))),
        ("Command", repeated(summary.argv)),
    ]


def _ratios(workload: FleetWorkload, summary: FleetSummary) -> Table:
    def column(index: int, kind: str, letter: str) -> Column:
        return Column(f"{letter}: {plain(kind)}", lambda row: _entry(row.entries[index]), True)

    kinds = [column(index, *each) for index, each in enumerate(summary.letters.items())]
    return Table.of(
        f"{plain(workload.name)}: ratio to the baseline, 99 % interval and verdict on each kind of machine",
        (
            *(parameter_column(key, values, _parameters) for key, values in workload.varying.items()),
            Column("backend", lambda row: unbroken(row.label)),
            Column("over kinds", _over_kinds, False, "on how many kinds of machines the verdict is so"),
            *kinds,
        ),
        [(row,) for case in workload.cases for row in case],
        key="backend",
    )


def _parameters(row: FleetRow) -> Any:
    return row.planned.parameters


def _over_kinds(row: FleetRow) -> Datum:
    agreed = set(row.verdicts)
    return Datum(row.over_kinds, tone=tone(agreed.pop()) if len(agreed) == 1 else "")


def _entry(entry: FleetEntry | None) -> Datum:
    if entry is None:
        return Datum()
    cell = entry.cell
    if cell.ratio is None:
        return Datum(entry.word, tone="muted" if cell.cell.status == "ok" else "bad")
    shade = tone(cell.verdict) if cell.verdict else "muted"
    note = " ".join(_unbroken(text) for text in (interval(cell.ratio), entry.word) if text)
    return Datum(figure(cell.ratio), cell.ratio.value, tone=shade, note=note)


def _unbroken(text: str) -> str:
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _machines(summary: FleetSummary) -> Table:
    def home(machine: FleetMachine) -> Datum:
        return Datum(str(machine.home), machine.home)

    return Table.of(
        "Who took part",
        (
            Column("machine", lambda machine: plain(machine.name)),
            Column("kind", lambda machine: summary.letters.get(machine.kind, "")),
            Column("cases", home, True, "whose runs are in its folder; machines of a kind share its cases"),
            Column("what it is", lambda machine: Datum(plain(machine.facts), tone="long")),
            Column("backends", lambda machine: Datum(plain(machine.versions), tone="long")),
            Column("folder", lambda machine: plain(machine.folder)),
        ),
        [(machine,) for machine in _sorted(summary)],
    )


def _sorted(summary: FleetSummary) -> Sequence[FleetMachine]:
    order = list(summary.found)
    return sorted(summary.machines, key=lambda machine: (order.index(machine.kind), machine.name))
