# SPDX-License-Identifier: BSD-3-Clause
"""A gate and a bisection as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from allocmark import __version__
from allocmark.asv.compare_stored import StoredRow
from allocmark.gate.bisect import Bisection
from allocmark.gate.gate import CANNOT_TELL, NOT_MEASURED, PASSED, SLOWER, Gate, GateRow
from allocmark.output.text.figures import assignments, counted, decimals, layout, plain, wrapped
from allocmark.stats import ERROR, UNPAIRED_MARGIN, Estimate, Verdict, median

WIDTH = 160  #: where nobody says: a pipe, a file
_SAID = {
    PASSED: "Passed: nothing is {limit:g} % slower.",
    SLOWER: "Slower.",
    NOT_MEASURED: "Could not be measured.",
    CANNOT_TELL: "Cannot tell: rounds or budget are spent. A quieter machine, a larger --budget or --limit may tell.",
}
_COLUMNS = ("ratio", "interval", "verdict", "base", "head", "rounds", "backend", "workload")
_RIGHT = frozenset(("ratio", "interval", "base", "head", "rounds"))
_SPARE = ("rounds", "base", "head", "interval")  # in a narrow terminal


def render_gate(gate: Gate, width: int | None = None) -> str:
    """The whole gate, for a terminal of ``width`` columns."""
    return "\n".join(_gate(gate, width or WIDTH)) + "\n"


def render_bisection(found: Bisection, width: int | None = None) -> str:
    """The first bad commit, or how near it came."""
    return "\n".join(_bisection(found, width or WIDTH)) + "\n"


def render_stored(rows: Sequence[StoredRow], width: int | None = None) -> str:
    """What asv has stored of two revisions, for a terminal of ``width`` columns."""
    machines = {row.machine for row in rows}
    texts = [
        [
            *_ratio_texts(row.ratio),
            str(row.verdict),
            *(_in_unit(cell.value, row.unit) for cell in (row.base, row.head)),
            "ns/object" if row.unit == "seconds" else row.unit,
            " ".join([row.benchmark, assignments(row.parameters)]),
            row.machine if len(machines) > 1 else "",
        ]
        for row in rows
    ]
    headers = ("ratio", "interval", "verdict", "base", "head", "unit", "benchmark", "machine")
    said = (
        "ratio: head over base, below 1 is cheaper. Not measured in turns: a verdict needs intervals that do not "
        f"overlap and a difference above {UNPAIRED_MARGIN:.0%}; `allocmark track gate` tells smaller ones."
    )
    return (
        "\n".join([layout(headers, texts, _RIGHT, width or WIDTH, _SPARE), "", *wrapped(said, width or WIDTH)]) + "\n"
    )


def _in_unit(value: float | None, unit: str) -> str:
    """asv's seconds are an object's, which are nanoseconds."""
    if value is None:
        return ""
    shown = value * 1e9 if unit == "seconds" else value
    return f"{shown:.{decimals(shown)}f}"


def _gate(gate: Gate, width: int) -> Iterator[str]:
    for name, side in (("base", gate.base), ("head", gate.head)):
        yield from wrapped(f"{name}: {plain(side.revision)} ({side.commit[:10]})", width)
    yield from wrapped(f"harness: allocmark {__version__} in {Path(__file__).parents[1]}", width)
    if gate.uncommitted:
        yield "The working tree has uncommitted changes: they are in neither."
    yield ""
    if gate.rows:
        yield from _table(gate.rows, width)
        yield ""
    for row in gate.rows:
        for what, (old, new) in row.tally.facts().items():
            yield from wrapped(f"{_place(row)}: {what}: {old:g} before, {new:g} now, in every process.", width)
    for label in gate.same:
        yield from wrapped(f"{label}: the same files on both sides, nothing to measure.", width)
    for missing in gate.missing:
        yield from wrapped(f"{plain(missing.what)}: not compared: {plain(missing.reason)}", width)
    if gate.rows:
        yield from wrapped(
            f"ratio: head over base, below 1 is cheaper; base, head: ns/object. All intervals hold together in "
            f"{1 - ERROR:.0%} of gates, however often they were looked at.",
            width,
        )
    if gate.journal:
        yield f"samples: {gate.journal}"
    yield ""
    yield _SAID[gate.status].format(limit=100 * gate.limit)


def _table(rows: tuple[GateRow, ...], width: int) -> Iterator[str]:
    texts = []
    for row in rows:
        used = row.tally.used()
        texts.append(
            [
                *_ratio_texts(row.ratio),
                str(row.verdict or "failed"),
                _median([each.base for each in used]),
                _median([each.head for each in used]),
                str(len(used) or ""),
                row.tally.pair.label,
                _title(row),
            ]
        )
    yield layout(_COLUMNS, texts, _RIGHT, width, _SPARE)
    for row in rows:
        if row.tally.failure:
            yield from wrapped(f"{_place(row)}: {plain(row.tally.failure)}", width)
        elif row.verdict == Verdict.CANNOT_TELL and not row.tally.used():
            yield from wrapped(f"{_place(row)}: the distance between the cores changed in every round", width)


def _median(values: list[float]) -> str:
    return f"{median(values):.{decimals(median(values))}f}" if values else ""


def _ratio(ratio: Estimate | None) -> str:
    """To the tenth of a per cent, for a gate is about two; in round brackets when too few rounds are behind it."""
    if ratio is None:
        return ""
    ends = f"{ratio.low:.3f}, {ratio.high:.3f}"
    return f"{ratio.value:.3f} " + (f"[{ends}]" if ratio.covered else f"({ends})")


def _ratio_texts(ratio: Estimate | None) -> tuple[str, str]:
    value, _, ends = _ratio(ratio).partition(" ")
    return value, ends


def _title(row: GateRow) -> str:
    record = row.tally.pair.case.record
    return f"{record.workload} {assignments(record.parameters)}".rstrip()


def _place(row: GateRow) -> str:
    return f"{row.tally.pair.label} {_title(row)}"


def _bisection(found: Bisection, width: int) -> Iterator[str]:
    yield from wrapped(f"bisecting {_place(found.cause)}", width)
    yield ""
    for step in found.steps:
        said = " ".join(each for each in (_ratio(step.ratio), plain(step.reason)) if each)
        yield from wrapped(f"{step.commit[:10]} {step.verdict:8} {said}", width)
    yield ""
    if found.first_bad is None:
        yield f"The first slow commit is one of {counted(len(found.candidates), 'commit')}:"
        yield from (f"  {commit[:10]} {plain(found.subjects[commit])}" for commit in found.candidates)
        return
    yield from wrapped(f"first slow commit: {found.first_bad[:10]} {plain(found.subjects[found.first_bad])}", width)
    if found.proof:
        said = _ratio(found.proof.ratio) or "no ratio"
        yield from wrapped(f"against the commit before it: {said}, {found.proof.verdict or 'failed'}", width)
