# SPDX-License-Identifier: BSD-3-Clause
"""A run as text: one table a workload, and below it what the reader must know about its figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from allocmark.output.text.figures import (
    Names,
    assignments,
    counted,
    figure,
    interval,
    layout,
    names_of,
    numeric,
    plain,
    said_once,
    varied,
    wrapped,
)
from allocmark.output.text.pass_table import pass_table
from allocmark.output.text.verified import verified
from allocmark.passes import registry
from allocmark.results.records import MeasuredCell
from allocmark.results.store import Run
from allocmark.results.summary import CaseSummary, CellSummary, summarise
from allocmark.stats import Distance

WIDTH = 160  #: where nobody says: a pipe, a file
_COLUMNS = ("backend", "ns/object", "95 %", "net", "net 95 %", "ratio", "99 %", "net ratio", "verdict", "than")
_RIGHT = frozenset(_COLUMNS[1:-2])
_SPARE = ("net 95 %", "95 %", "net ratio", "99 %", "net", "than")  # in a narrow terminal


def render(run: Run, baseline: str | None = None, width: int | None = None) -> str:
    """The whole run, ready to print, for a terminal of ``width`` columns (160 when not given).

    Raises UsageError for a baseline that is not in the run.
    """
    if run.header.settings.get("verify"):
        return verified(run)
    summaries = summarise(run, baseline)
    names = names_of(run)
    parts = ["\n".join(heading(run, width or WIDTH))]
    for _, found in groupby(summaries, key=lambda s: s.planned.workload):
        cases = list(found)
        parts.append("\n".join(_workload(cases, names, width or WIDTH)))
        parts += filter(None, (pass_table(each, cases, names, width or WIDTH) for each in registry.PASSES))
    parts.append("\n".join(_reading(run, summaries, names, width or WIDTH)))
    return "\n\n".join(parts) + "\n"


def heading(run: Run, width: int) -> Iterator[str]:
    """Which run this is, on what machine, with which versions."""
    header = run.header
    yield f"{plain(header.id)}, {plain(header.created)}, seed {header.seed}"
    if machine := _machine(header.environment):
        yield from wrapped(machine, width)
    versions = {cell.backend: cell.version for case in run.cases for cell in case.cells if cell.version}
    if versions:
        yield from wrapped(", ".join(f"{name} {plain(v)}" for name, v in versions.items()), width)


def _machine(environment: Mapping[str, Any]) -> str:
    machine = environment.get("machine") or {}
    said = [
        (machine.get("cpu"), "{}"),
        (machine.get("cpus"), "{} CPUs"),
        (machine.get("cores"), "{} cores"),
        (machine.get("numa_nodes"), "NUMA nodes: {}"),
        (machine.get("memory_gib"), "{} GiB"),
        (machine.get("hypervisor"), "under {}"),
        (environment.get("os"), "{}"),
        (environment.get("kernel"), "kernel {}"),
    ]
    return ", ".join(form.format(plain(str(fact))) for fact, form in said if fact is not None)


def _workload(cases: Sequence[CaseSummary], names: Names, width: int) -> Iterator[str]:
    parameters = [case.planned.parameters for case in cases]
    varying, others = varied(parameters)
    fixed = assignments(parameters[0], others)
    yield from wrapped(f"{cases[0].planned.workload}" + (f"  ({fixed})" if fixed else ""), width)
    yield ""
    several = len({case.baseline for case in cases if case.baseline}) > 1
    rows = [row for case in cases for row in _rows(case, varying, names, several)]
    cells = [cell.cell for case in cases for cell in case.cells]
    instead = {i: f"{cell.status}: {_reason(cell)}" for i, cell in enumerate(cells) if cell.status != "ok"}
    yield layout([*varying, *_COLUMNS], rows, _RIGHT | numeric(parameters, varying), width, _SPARE, instead)
    yield from _notes(cases, names, width)


def _rows(case: CaseSummary, varying: Sequence[str], names: Names, several: bool) -> Iterator[list[str]]:
    for shown, cell in zip(said_once(case.planned.parameters, varying), case.cells, strict=False):
        yield [
            *shown,
            names[cell.cell.label],
            figure(cell.median),
            interval(cell.median),
            figure(cell.net),
            interval(cell.net),
            figure(cell.ratio),
            interval(cell.ratio),
            figure(cell.net_ratio),
            _outcome(case, cell),
            names[case.baseline] if several and cell.verdict and case.baseline else "",
        ]


def _outcome(case: CaseSummary, cell: CellSummary) -> str:
    if cell.verdict is not None:
        return cell.verdict.value
    if cell.cell.label == case.baseline:
        return "baseline"
    if cell.cell.floor and cell.median is not None:
        return "the floor"
    # Why a cell has no figures, or a case no baseline, is said elsewhere.
    return cell.no_ratio or "" if cell.cell.status == "ok" and case.baseline else ""


def _reason(cell: MeasuredCell) -> str:
    return plain(cell.reason or "no reason given")


def _notes(cases: Sequence[CaseSummary], names: Names, width: int) -> Iterator[str]:
    # Once each, however many rows they concern.
    reasons = dict.fromkeys(
        (f"{names[cell.label]} {cell.status}: {_reason(cell)}", cell.fix)
        for cell in (cell.cell for case in cases for cell in case.cells)
        if cell.status != "ok"
    )
    lines: list[str] = []
    for why, fix in reasons:
        lines += wrapped(why, width)
        if fix:
            # Never wrapped: it is there to be copied.
            lines.append(f"    to change that: {plain(fix)}")
    for case in cases:
        if case.baseline is None and case.no_baseline:
            lines += wrapped(f"No ratios{_where(case, len(cases) > 1)}: {case.no_baseline}.", width)
    for text in _attested(cases, names):
        lines += wrapped(text, width)
    distances = [case.distance for case in cases]
    for line in (_distances(distances), _aside(distances), _disturbed(cases)):
        lines += wrapped(line, width)
    if lines:
        yield ""
        yield from lines


def _attested(cases: Sequence[CaseSummary], names: Names) -> Iterable[str]:
    """What was found on in the cells that have figures, and is not what the workload asked for."""
    found: dict[str, dict[str, None]] = {}  # a note, and the pools that it is about
    for cell in (cell.cell for case in cases for cell in case.cells):
        notes = cell.attestation.get("notes")
        for pool, note in (notes if isinstance(notes, Mapping) else {}).items():
            found.setdefault(f"{names[cell.label]}: {plain(str(note))}", {})[plain(str(pool))] = None
    return [f"{note} (in {', '.join(pools)})." for note, pools in found.items()]


def _where(case: CaseSummary, several: bool) -> str:
    said = assignments(case.planned.parameters)
    return f" at {said}" if several and said else ""


def _aside(distances: Sequence[Distance]) -> str:
    changed, other = (sum(getattr(d, what) for d in distances) for what in ("changed", "other"))
    aside = changed + other
    total = aside + sum(len(d.kept) for d in distances)
    causes = []
    if changed:
        causes.append(f"{changed} in which the core-to-core distance changed")
    if other:
        causes.append(f"{other} of another distance than most")
    return f"Set aside: {aside} of {counted(total, 'block')}, {' and '.join(causes)}." if aside else ""


def _distances(distances: Iterable[Distance]) -> str:
    found = sorted(d.ns for d in distances if d.ns is not None)
    if not found:
        return ""
    low, high = f"{found[0]:.0f}", f"{found[-1]:.0f}"
    return f"Core to core and back: {low if low == high else f'{low} to {high}'} ns."


def _disturbed(cases: Sequence[CaseSummary]) -> str:
    used = sum(cell.used for case in cases for cell in case.cells)
    marked = sum(cell.disturbed for case in cases for cell in case.cells)
    kinds = {what for case in cases for cell in case.cells for marks in cell.cell.disturbed.values() for what in marks}
    if not marked:
        return ""
    said = f"Disturbed, and used all the same: {marked} of {counted(used, 'sample')}"
    return f"{said} ({', '.join(sorted(map(plain, kinds)))})."


def _reading(run: Run, summaries: Sequence[CaseSummary], names: Names, width: int) -> Iterator[str]:
    floors = sorted({names[case.floor] for case in summaries if case.floor})
    bases = sorted({names[case.baseline] for case in summaries if case.baseline})
    estimates = [e for g in summaries for c in g.cells for e in (c.median, c.ratio) if e]
    said = ["ns/object: nanoseconds an object, for all that the workload does with it."]
    if floors:
        floor = " or ".join(floors)
        said.append(f"net: less the floor, which is the same workload with {floor}, block by block.")
    if any(cell.net is not None and cell.net.value <= 0 for case in summaries for cell in case.cells):
        said.append("A net of 0 or less: no dearer than the floor's own calls, as far as this can tell.")
    if bases:
        what = bases[0] if len(bases) == 1 else "the cell marked baseline"
        said.append(f"ratio: below 1 is cheaper than {what}; measured in pairs, block by block.")
    if any(not e.covered for e in estimates):
        said.append("(low, high): the range seen, where the blocks are too few for an interval.")
    missing = len(run.header.plan) - len(run.cases)
    if missing:
        said.append(f"Not measured: {missing} of {counted(len(run.header.plan), 'case')} in the plan.")
    for line in said:
        yield from wrapped(line, width)
