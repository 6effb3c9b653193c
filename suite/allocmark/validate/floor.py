# SPDX-License-Identifier: BSD-3-Clause
"""Does the floor cost less than every backend? Else it is none, and nothing can be subtracted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from allocmark import stats
from allocmark.results.summary import CaseSummary
from allocmark.stats import Verdict
from allocmark.validate.proof import Figure, Finding, Holds
from allocmark.validate.workbench import Workbench, losses


def floor(bench: Workbench) -> Finding:
    """The backends on the default workloads, or on some of them."""
    backends = [registered.backend.label for registered in bench.backends(bench.form.backends)]
    cases = bench.compare(bench.request(bench.form.floor, {}, backends))
    verdicts = {key: verdict for case in cases for key, verdict in _against_floor(case).items()}
    below = [f"below the floor: {label} in {title}" for (title, label), said in verdicts.items() if said is _BELOW]
    measured = {"backends": backends, "cases": [case.planned.title for case in cases], **bench.numbers()}
    return Finding([judged(verdicts)], measured, [*below, *losses(cases)])


_BELOW = Verdict.FASTER


def _against_floor(case: CaseSummary) -> dict[tuple[str, str], Verdict]:
    """What each cell is to the floor."""
    bottom = next((cell for cell in case.cells if cell.cell.floor and cell.values), None)
    if bottom is None:
        return {}
    return {
        (case.planned.title, cell.cell.label): stats.verdict(case.ratio(cell, bottom))
        for cell in case.cells
        if cell.values and cell is not bottom
    }


def judged(verdicts: Mapping[tuple[str, str], Verdict]) -> Figure:
    """``verdicts`` say of each cell, by its case and backend, what it is to the floor."""
    said: Sequence[Verdict] = [*verdicts.values()]
    below = said.count(_BELOW)
    open_ones = said.count(Verdict.CANNOT_TELL)
    holds = Holds.NO if below else Holds.CANNOT_TELL if open_ones or not said else Holds.YES
    text = f"{below} of {len(said)}" + (f", {open_ones} open" if open_ones else "")
    return Figure("cells below the floor", below, text, "0", holds)
