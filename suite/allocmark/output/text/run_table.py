# SPDX-License-Identifier: BSD-3-Clause
"""A run as text: a table per workload, and below each what the reader must know about its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from allocmark.output.text import WIDTH
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
    significant,
    varied,
    wrapped,
)
from allocmark.output.text.memory_table import memory_table
from allocmark.output.text.pass_table import pass_table
from allocmark.output.text.verified import verified
from allocmark.output.text.wording import (
    disturbed,
    failures,
    heading,
    medians_differ,
    other_group,
    outcome,
    ratio_explained,
    reason,
    tells,
    verdicts_explained,
)
from allocmark.passes import registry
from allocmark.results.store import Run
from allocmark.results.summary import CaseSummary, CellSummary, summarise
from allocmark.stats import MARGIN, Conditions, least_rounds

# The columns of figures, in their order: a header, and what it shows of a cell.
_FIGURES: Mapping[str, Callable[[CellSummary], str]] = {
    "ns/object": lambda cell: figure(cell.median),
    "95 % interval": lambda cell: interval(cell.median),
    "net": lambda cell: figure(cell.net),
    "net 95 % interval": lambda cell: interval(cell.net),
    "own work": lambda cell: figure(cell.own),
    "placement": lambda cell: figure(cell.placement),
    "ratio": lambda cell: figure(cell.ratio),
    "99 % interval": lambda cell: interval(cell.ratio),
    "net ratio": lambda cell: figure(cell.net_ratio),
    "tells": tells,
}
# What a narrow terminal goes without, the first of them first.
_SPARE = (
    *("net 95 % interval", "net ratio", "95 % interval", "placement", "own work", "tells", "99 % interval", "net"),
    *("other group", "baseline"),
)


def render(run: Run, baseline: str | None = None, width: int = WIDTH) -> str:
    """The whole run, ready to print, for a terminal of ``width`` columns.

    Raises UsageError for a baseline that is not in the run.
    """
    if run.header.settings.get("verify"):
        return verified(run)
    summaries = summarise(run, baseline)
    names = names_of(run)
    parts = [_paragraphs(heading(run), width)]
    for _, found in groupby(summaries, key=lambda s: s.planned.workload):
        cases = list(found)
        parts.append("\n".join(_workload(cases, names, width)))
        parts += filter(None, (pass_table(each, cases, names, width) for each in registry.PASSES))
        parts += filter(None, [memory_table(cases, names, width)])
    parts.append(_paragraphs(_reading(run, summaries, names), width))
    return "\n\n".join(parts) + "\n"


def _paragraphs(texts: Iterable[str], width: int) -> str:
    return "\n".join(line for text in texts for line in wrapped(text, width))


def _workload(cases: Sequence[CaseSummary], names: Names, width: int) -> Iterator[str]:
    parameters = [case.planned.parameters for case in cases]
    varying, others = varied(parameters)
    fixed = assignments(parameters[0], others)
    yield from wrapped(f"{cases[0].planned.workload}" + (f"  ({fixed})" if fixed else ""), width)
    if marked := disturbed(cell for case in cases for cell in case.cells):
        yield from wrapped(f"disturbed: {marked}", width)
    yield ""
    several = len({case.baseline for case in cases if case.baseline}) > 1
    rows = [row for case in cases for row in _rows(case, varying, names, several)]
    cells = [cell.cell for case in cases for cell in case.cells]
    instead = {i: f"{cell.status}: {reason(cell)}" for i, cell in enumerate(cells) if cell.status != "ok"}
    headers = [*varying, "backend", *_FIGURES, "verdict", "other group", "baseline"]
    yield layout(headers, rows, {*_FIGURES} | numeric(parameters, varying), width, _SPARE, instead)
    yield from _notes(cases, names, width)


def _rows(case: CaseSummary, varying: Sequence[str], names: Names, several: bool) -> Iterator[list[str]]:
    for shown, cell in zip(said_once(case.planned.parameters, varying), case.cells, strict=False):
        # Why a cell has no figures, or a case no baseline, is said elsewhere.
        told = cell.cell.status == "ok" and (case.baseline or cell.cell.floor)
        yield [
            *shown,
            names[cell.cell.label],
            *(text(cell) for text in _FIGURES.values()),
            outcome(case, cell) if told else "",
            other_group(cell),
            names[case.baseline] if several and cell.verdict and case.baseline else "",
        ]


def _notes(cases: Sequence[CaseSummary], names: Names, width: int) -> Iterator[str]:
    lines: list[str] = []
    for name, status, why, fix in failures((cell.cell for case in cases for cell in case.cells), names):
        lines += wrapped(f"{name} {status}: {why}", width)
        if fix:
            # Never wrapped: it is there to be copied.
            lines.append(f"    to change that: {fix}")
    texts = [f"{_instead(case, names)}{_where(case, cases)}: {case.no_baseline}." for case in cases if case.no_baseline]
    texts += [f"No net{_where(case, cases)}: {case.no_net}." for case in cases if case.no_net]
    texts += [text for case in cases for text in _too_noisy(case, cases, names)]
    texts += [*_attested(cases, names), *_differing(cases, names)]
    conditions = [case.conditions for case in cases]
    texts += filter(None, (_distances(conditions), _aside(conditions)))
    lines += [line for text in texts for line in wrapped(text, width)]
    if lines:
        yield ""
        yield from lines


def _attested(cases: Sequence[CaseSummary], names: Names) -> Iterable[str]:
    """What was found on in the cells that have figures, and is not what the workload asked for."""
    found: dict[str, dict[str, None]] = {}  # a note, and the pools that it is about; none: about the whole cell
    for case in cases:
        for cell in (each.cell for each in case.cells):
            notes = cell.attestation.get("notes")
            for pool, note in (notes if isinstance(notes, Mapping) else {}).items():
                where = "" if pool else _where(case, cases)
                pools = found.setdefault(f"{names[cell.label]}{where}: {plain(str(note))}", {})
                pools |= {plain(str(pool)): None} if pool else {}
    return [note + (f" (in {', '.join(pools)})." if pools else ".") for note, pools in found.items()]


def _differing(cases: Sequence[CaseSummary], names: Names) -> Iterator[str]:
    for case in cases:
        for cell in case.cells:
            if quotient := medians_differ(case, cell):
                yield (
                    f"{names[cell.cell.label]}{_where(case, cases)}: the ratio is {figure(cell.ratio)}, but the "
                    f"medians give {significant(quotient)}: costs changed between rounds. The ratio compares within "
                    "each round, and the verdict rests on it."
                )


def _too_noisy(case: CaseSummary, cases: Sequence[CaseSummary], names: Names) -> Iterator[str]:
    """Which cells have no verdict as the machine was too busy, those with one reason together."""
    found: dict[str, list[str]] = {}
    for cell in case.cells:
        if cell.no_verdict and cell.verdict:
            found.setdefault(cell.no_verdict, []).append(names[cell.cell.label])
    for why, labels in found.items():
        yield f"No verdict on {', '.join(labels)}{_where(case, cases)}: {why}. Use a quieter machine."


def _has_net(case: CaseSummary) -> bool:
    return any(cell.net for cell in case.cells)


def _instead(case: CaseSummary, names: Names) -> str:
    return f"Ratios are to {names[case.baseline]}" if case.baseline else "No ratios"


def _where(case: CaseSummary, cases: Sequence[CaseSummary]) -> str:
    said = assignments(case.planned.parameters)
    return f" at {said}" if len(cases) > 1 and said else ""


def _distances(conditions: Iterable[Conditions]) -> str:
    found = sorted(each.distance_ns for each in conditions if each.distance_ns is not None)
    if not found:
        return ""
    low, high = f"{found[0]:.0f}", f"{found[-1]:.0f}"
    return f"core-to-core distance: {low if low == high else f'{low} to {high}'} ns for a cache line there and back."


def _aside(conditions: Sequence[Conditions]) -> str:
    changed, other = (sum(getattr(each, what) for each in conditions) for what in ("changed", "other"))
    total = changed + other + sum(len(each.kept) for each in conditions)
    subject = iter(("the speed of a CPU or the core-to-core distance", "it"))
    found = ((changed, "changed"), (other, "was not the usual one"))
    said = ", ".join(f"in {n} {next(subject)} {did}" for n, did in found if n)
    return f"Not used: {changed + other} of {counted(total, 'block')}; {said}." if said else ""


def _reading(run: Run, summaries: Sequence[CaseSummary], names: Names) -> Iterator[str]:
    """How to read the tables: what is in none of them is not explained."""
    floors = sorted({names[case.floor] for case in summaries if case.floor})
    bases = sorted({names[case.baseline] for case in summaries if case.baseline})
    estimates = [e for g in summaries for c in g.cells for e in (c.median, c.ratio) if e]
    rounds = sorted(case.measured.rounds for case in summaries)
    if rounds:
        taken = f"{rounds[0]}" if rounds[0] == rounds[-1] else f"{rounds[0]} to {rounds[-1]}"
        over = "from one process of each cell" if taken == "1" else f"the median over {taken} processes of each cell"
        yield f"ns/object: nanoseconds per object, for all that the workload does with it, {over}."
    least = least_rounds(summaries[0].ratios) if summaries else 0
    if rounds and rounds[-1] < least and any(cell.ratio for case in summaries for cell in case.cells):
        yield (
            f"No verdict: {'one process tells' if rounds[-1] == 1 else 'so few processes tell'} too little, as where a "
            f"process lies in memory can double its cost. This run needs {least} rounds or more."
        )
    if floors:
        net = "net: ns/object less that of the floor in the same round. " if any(map(_has_net, summaries)) else ""
        yield f"{net}The floor is {' or '.join(floors)}, a backend that does next to nothing."
    if any(cell.own for case in summaries for cell in case.cells):
        yield (
            "net is own work (the allocator's instructions and its shared cache lines) and placement (what touching "
            "the memory costs that it handed out, found by handing out the same addresses without an allocator)."
        )
    if any(cell.modes for case in summaries for cell in case.cells):
        yield (
            "other group: so many of a cell's processes cost that many times as much as most of them, because of "
            "where their memory lies, or of what else used their cores. The median is one of the larger group's."
        )
    if any(cell.net is not None and cell.net.value <= 0 for case in summaries for cell in case.cells):
        yield "A net of 0 or less: the cost was too small to be told from that of the floor."
    if any(cell.ratio for case in summaries for cell in case.cells):
        base = bases[0] if len(bases) == 1 else "the baseline"
        yield ratio_explained(base)
    if any(cell.ratio and cell.ratio.covered for case in summaries for cell in case.cells):
        yield verdicts_explained("99 %", MARGIN)
        yield (
            "99 %: in so many runs of a hundred, the intervals of all ratios hold. tells: the smallest difference from "
            "the baseline that these rounds could have told."
        )
    if any(not e.covered and e.n > 1 for e in estimates):
        yield "(low, high): the lowest and the highest process, where there are too few rounds for an interval."
    if missing := len(run.header.plan) - len(run.cases):
        yield f"Not measured: {missing} of {counted(len(run.header.plan), 'case')} in the plan."
