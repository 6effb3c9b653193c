# SPDX-License-Identifier: BSD-3-Clause
"""The table of a fleet for a terminal: a column for each kind of machine, and how many agree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from allocmark import stats
from allocmark.output.text import WIDTH
from allocmark.output.text.figures import counted, figure, interval, layout, plain, said_once, wrapped
from allocmark.output.text.fleet_rows import (
    NEVER_AVERAGED,
    FleetEntry,
    FleetSummary,
    FleetWorkload,
    fleet_workloads,
    unmeasured,
)
from allocmark.output.text.wording import verdicts_explained


def fleet_table(summary: FleetSummary, width: int = WIDTH) -> str:
    """The table, and what could not be measured, for a terminal of ``width`` columns."""
    return "\n".join([*_ratios(summary, width), *_missing(summary, width)])


def _ratios(summary: FleetSummary, width: int) -> Iterator[str]:
    workloads = fleet_workloads(summary.found)
    if not workloads:
        return
    for workload in workloads:
        yield from _workload(workload, list(summary.letters.values()), width)
        yield ""
    for kind, letter in summary.letters.items():
        named = ", ".join(plain(machine.name) for machine in summary.machines if machine.kind == kind)
        yield from wrapped(f"{letter}: {plain(kind)}{f' ({named})' if named and named != kind else ''}", width)
    yield from wrapped(NEVER_AVERAGED, width)
    yield from wrapped(verdicts_explained("99 %", stats.MARGIN), width)
    yield ""


def _workload(workload: FleetWorkload, letters: Sequence[str], width: int) -> Iterator[str]:
    yield from wrapped(plain(workload.name) + (f"  ({workload.fixed})" if workload.fixed else ""), width)
    yield ""
    varying = list(workload.varying)
    rows = [
        [*shown, plain(row.label), *map(_text, row.entries), row.over_kinds]
        for case in workload.cases
        for shown, row in zip(said_once(case[0].planned.parameters, varying), case, strict=False)
    ]
    yield layout([*varying, "backend", *letters, "over kinds"], rows, set(), width, ("over kinds",))


def _text(entry: FleetEntry | None) -> str:
    if entry is None:
        return ""
    ratio = entry.cell.ratio
    return f"{figure(ratio)} {interval(ratio)} {entry.word}" if ratio else entry.word


def _missing(summary: FleetSummary, width: int) -> Iterator[str]:
    yield from _listed("Lost or refused", map(plain, summary.lost), "line", width)
    yield from _listed("Not measured", unmeasured(summary), "case", width)


def _listed(title: str, lines: Iterable[str], what: str, width: int) -> Iterator[str]:
    if found := list(lines):
        yield f"{title}: {counted(len(found), what)}"
        for line in found:
            yield from wrapped(f"  {line}", width)
        yield ""
