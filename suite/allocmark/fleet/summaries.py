# SPDX-License-Identifier: BSD-3-Clause
"""What the run files of a fleet say, all ratios of all machines sharing one error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from allocmark.fleet.folder import Fleet, FleetFolder, Measured, by_kind
from allocmark.output.text.fleet_rows import FleetMachine, FleetSummary
from allocmark.output.text.wording import machine_facts, versions_of
from allocmark.results.store import Run
from allocmark.results.summary import check_baseline, summarise_case


def summarise_fleet(folder: FleetFolder, baseline: str | None = None) -> FleetSummary:
    """What tables and pages show. UsageError for a baseline that nobody measured, RunFileError for another folder."""
    fleet = folder.read()
    measured = folder.measured(fleet)
    runs = by_kind(fleet, measured)
    wanted = baseline or fleet.baseline
    if wanted:
        plans = [case for cases in runs.values() for run in cases.values() for case in run.header.plan]
        check_baseline(wanted, [cell.label for case in plans for cell in case.cells], f"in {folder.path}")
    first = _first(run for cases in runs.values() for run in cases.values())
    return FleetSummary(
        folder=str(folder.path),
        created=fleet.created,
        argv=fleet.argv,
        found={
            kind: {
                title: summarise_case(run.cases[0], run.header.plan[0], wanted or first.get(title), fleet.ratios)
                for title, run in cases.items()
            }
            for kind, cases in runs.items()
        },
        machines=list(_machines(folder, fleet, measured)),
        wanted=sum(map(len, fleet.cases.values())),
        lost=fleet.lost,
        given_up=fleet.given_up,
    )


def _first(runs: Iterable[Run]) -> Mapping[str, str]:
    """By case: the first backend with figures on any machine. All machines compare with it."""
    found: dict[str, str] = {}
    for run in runs:
        for cell in run.cases[0].cells:
            if not cell.floor and cell.status == "ok":
                found.setdefault(run.header.plan[0].title, cell.label)
    return found


def _machines(folder: FleetFolder, fleet: Fleet, measured: Measured) -> Iterable[FleetMachine]:
    for name, member in fleet.members.items():
        runs = list(measured[name].values())
        versions = {backend: version for run in runs for backend, version in versions_of(run).items()}
        yield FleetMachine(
            name,
            member.kind,
            machine_facts(runs[0].header.environment if runs else {"machine": member.machine}),
            ", ".join(f"{backend} {version}" for backend, version in versions.items()),
            str(folder.of(name)),
            len(runs),
            member.left_out,
        )
