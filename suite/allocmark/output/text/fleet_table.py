# SPDX-License-Identifier: BSD-3-Clause
"""What the machines of a fleet say: a column per kind of machine, and how many agree. Figures are never averaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from allocmark import stats
from allocmark.output.text import WIDTH
from allocmark.output.text.figures import (
    assignments,
    counted,
    figure,
    interval,
    layout,
    plain,
    said_once,
    varied,
    wrapped,
)
from allocmark.output.text.wording import outcome, verdicts_explained
from allocmark.results.summary import CaseSummary, CellSummary
from allocmark.stats import Verdict

Found = Mapping[str, Mapping[str, CaseSummary]]  #: by kind of machine, then by the title of the case


def fleet_table(found: Found, machines: Mapping[str, Sequence[str]], width: int = WIDTH) -> str:
    """The table, for a terminal of ``width`` columns. ``machines``: the names of those of each kind."""
    titles = list(dict.fromkeys(title for cases in found.values() for title in cases))
    kinds = {kind: chr(ord("A") + i) if i < 26 else f"A{i}" for i, kind in enumerate(found)}
    lines: list[str] = []
    for workload in dict.fromkeys(_any(found, title).planned.workload for title in titles):
        cases = [title for title in titles if _any(found, title).planned.workload == workload]
        lines += [*_workload(found, kinds, cases, width), ""]
    for kind, letter in kinds.items():
        named = ", ".join(map(plain, machines.get(kind, ())))
        lines += wrapped(f"{letter}: {plain(kind)}{f' ({named})' if named and named != kind else ''}", width)
    lines += wrapped(
        "Each figure is of one machine of its kind: the ratio to the baseline, with its 99 % interval. None is "
        "averaged over machines.",
        width,
    )
    lines += wrapped(verdicts_explained("99 %", stats.MARGIN), width)
    return "\n".join(lines) + "\n"


def agreement(verdicts: Sequence[Verdict]) -> str:
    """``faster on 3 of 4, cannot tell on 1``; ``faster on all 4``."""
    counts = Counter(verdicts)
    if len(counts) == 1:
        (verdict,) = counts
        return f"{verdict} on all {len(verdicts)}" if len(verdicts) > 1 else str(verdict)
    said = [f"{verdict} on {counts[verdict]}" for verdict in Verdict if counts[verdict]]
    return ", ".join([f"{said[0]} of {len(verdicts)}", *said[1:]]) if said else ""


def _any(found: Found, title: str) -> CaseSummary:
    return next(cases[title] for cases in found.values() if title in cases)


def _workload(found: Found, kinds: Mapping[str, str], titles: Sequence[str], width: int) -> Iterator[str]:
    parameters = [_any(found, title).planned.parameters for title in titles]
    varying, others = varied(parameters)
    fixed = assignments(parameters[0], others)
    yield from wrapped(_any(found, titles[0]).planned.workload + (f"  ({fixed})" if fixed else ""), width)
    yield ""
    rows = [row for title in titles for row in _rows(found, title, varying)]
    yield layout([*varying, "backend", *kinds.values(), "over kinds"], rows, set(), width, ("over kinds",))


def _rows(found: Found, title: str, varying: Sequence[str]) -> Iterator[list[str]]:
    labels = dict.fromkeys(
        cell.cell.label
        for cases in found.values()
        if title in cases
        for cell in cases[title].cells
        if not cell.cell.floor
    )
    for shown, label in zip(said_once(_any(found, title).planned.parameters, varying), labels, strict=False):
        cells = [_cell(cases.get(title), label) for cases in found.values()]
        verdicts = [cell.verdict for _, cell in filter(None, cells) if cell.verdict is not None]
        texts = [_text(*cell) if cell else "" for cell in cells]
        yield [*shown, plain(label), *texts, agreement(verdicts) if verdicts else ""]


def _cell(case: CaseSummary | None, label: str) -> tuple[CaseSummary, CellSummary] | None:
    return next(((case, cell) for cell in case.cells if cell.cell.label == label), None) if case else None


def _text(case: CaseSummary, cell: CellSummary) -> str:
    if cell.ratio is None:
        return outcome(case, cell)
    return f"{figure(cell.ratio)} {interval(cell.ratio)} {outcome(case, cell)}"


def unmeasured(given_up: Sequence[tuple[str, str, str]], width: int = WIDTH) -> str:
    """Which cases could not be measured where, and why."""
    if not given_up:
        return ""
    lines = [f"Not measured: {counted(len(given_up), 'case')}"]
    for kind, title, why in given_up:
        lines += wrapped(f"  {plain(title)} on {plain(kind)}: {plain(why)}", width)
    return "\n".join(lines) + "\n"
