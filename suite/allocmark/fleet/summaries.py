# SPDX-License-Identifier: BSD-3-Clause
"""What the run files of a fleet say, all ratios of all machines sharing one error."""

from __future__ import annotations

from allocmark.fleet.folder import Fleet, FleetFolder
from allocmark.results.summary import CaseSummary, check_baseline, summarise_case


def summaries(folder: FleetFolder, fleet: Fleet, baseline: str | None = None) -> dict[str, dict[str, CaseSummary]]:
    """By kind of machine and title of the case. UsageError for a baseline that nobody measured."""
    runs = folder.runs(fleet)
    wanted = baseline or fleet.baseline
    if wanted:
        plans = [case for cases in runs.values() for run in cases.values() for case in run.header.plan]
        check_baseline(wanted, [cell.label for case in plans for cell in case.cells], f"in {folder.path}")
    return {
        kind: {
            title: summarise_case(run.cases[0], run.header.plan[0], wanted, fleet.ratios)
            for title, run in cases.items()
        }
        for kind, cases in runs.items()
    }
