# SPDX-License-Identifier: BSD-3-Clause
"""Is nothing found where there is nothing?

Twins of one backend do the same. So do libraries built from one source whose functions lie in another order and at
other places, as they do after any edit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from allocmark.stats import Verdict, share_bounds
from allocmark.validate.proof import Figure, Finding, at_most
from allocmark.validate.rebuilt import build, compiler
from allocmark.validate.twins import Twin, host_of
from allocmark.validate.workbench import SHORT, Workbench, losses

ALARMS = 0.01  #: of the cells that may get a verdict
ENOUGH = 400  #: cells that tell so small a share

_BULKS = (32, 8)  #: in turns


def silence(bench: Workbench) -> Finding:
    """Cells that are the same under several names."""
    carriers = bench.backends(bench.form.backends)
    families = {
        "identical": [
            [Twin.of(registered, f"t{number}") for number in range(bench.form.siblings + 1)] for registered in carriers
        ]
    }
    notes = []
    if bench.form.rebuilt and compiler() is None:
        notes.append("no C compiler is installed here, so nothing was built again: `apt-get install gcc`")
    elif bench.form.rebuilt:
        families["built anew"] = [build(bench.folder / "built", bench.form.siblings + 1)]
    figures = []
    for index, (what, groups) in enumerate(families.items()):
        verdicts = []
        for said, lost in _measured(bench, groups, (index / len(families), (index + 1) / len(families))):
            verdicts += said
            notes += lost
        figures.append(judged(what, verdicts))
    measured = {
        "backends": [registered.backend.label for registered in carriers],
        "bulk": list(_BULKS),
        "cells": bench.form.silent_cells,
        **bench.numbers(),
    }
    return Finding(figures, measured, notes)


def _measured(
    bench: Workbench, groups: Sequence[Sequence[Twin]], share: tuple[float, float]
) -> Iterator[tuple[list[Verdict], list[str]]]:
    """The verdicts of one run after another, of the groups in turn, until there are as many cells as asked for."""
    first, last = share
    hosts = [host_of(group, bench.folder / f"silent-{group[0].variant}-{index}") for index, group in enumerate(groups)]
    wanted, found, turn = bench.form.silent_cells, 0, 0
    while found < wanted and turn <= wanted:
        group, host = groups[turn % len(groups)], hosts[turn % len(groups)]
        bulk = _BULKS[turn // len(groups) % len(_BULKS)]
        request = bench.request(["burst"], SHORT | {"bulk": [str(bulk)]}, [each.name for each in group])
        done = [first + (last - first) * min(1.0, cells / wanted) for cells in (found, found + len(group) - 1)]
        cases = bench.compare(request, host, share=(done[0], done[1]))
        verdicts = [cell.verdict for case in cases for cell in case.cells if cell.verdict is not None]
        found += len(verdicts)
        turn += 1
        yield verdicts, losses(cases)


def judged(what: str, verdicts: Sequence[Verdict]) -> Figure:
    """``verdicts`` are those of cells that are the same."""
    alarms = sum(verdict in (Verdict.FASTER, Verdict.SLOWER) for verdict in verdicts)
    most = share_bounds(alarms, len(verdicts))[1] if verdicts else 1.0
    return Figure(
        f"{what}, told apart",
        alarms / len(verdicts) if verdicts else None,
        f"{alarms} of {len(verdicts)}, < {100 * most:.1f} %",
        f"{100 * ALARMS:.0f} %",
        at_most(alarms, len(verdicts), ALARMS, ENOUGH),
    )
