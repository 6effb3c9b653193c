# SPDX-License-Identifier: BSD-3-Clause
"""Prints a gate and a bisection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from allocmark import __version__
from allocmark.gate.bisect import Bisection
from allocmark.gate.gate import CANNOT_TELL, NOT_MEASURED, PASSED, SLOWER, Gate, GateRow
from allocmark.output.text.figures import assignments, decimals, layout, plain, wrapped
from allocmark.output.text.wording import variables_said
from allocmark.stats import ERROR, Estimate, Verdict, median

WIDTH = 160  #: of a pipe or a file
RIGHT = frozenset(("ratio", "interval", "base", "head", "rounds"))  #: columns of numbers
SPARE = ("rounds", "base", "head", "interval")  #: columns that a narrow terminal does without, the first one first
#: What a gate comes to, by its exit status.
SAID = {
    PASSED: "Passed: no cell is {limit:g} % slower.",
    SLOWER: "Slower: at least one cell is.",
    NOT_MEASURED: "Not measured: not everything that should be compared could be: the lines with a reason say why.",
    CANNOT_TELL: "Cannot tell: the measurements vary too much. Use a quieter machine, or a larger --budget or --limit.",
}


def render_gate(gate: Gate, width: int | None = None) -> str:
    """The gate's table, notes and result, for a terminal of ``width`` columns."""
    return "\n".join(_gate(gate, width or WIDTH)) + "\n"


def render_bisection(found: Bisection, width: int | None = None) -> str:
    """The steps, and the first bad commit or the candidates that remain."""
    return "\n".join(_bisection(found, width or WIDTH)) + "\n"


def ratio_texts(ratio: Estimate | None) -> tuple[str, str]:
    """A ratio and its interval; to a tenth of a per cent, as limits are about 2 %.

    ``[low, high]``, or ``(low, high)`` when there are too few rounds for an interval: the range seen.
    """
    if ratio is None:
        return "", ""
    ends = f"{ratio.low:.3f}, {ratio.high:.3f}"
    return f"{ratio.value:.3f}", f"[{ends}]" if ratio.covered else f"({ends})"


def gate_notes(gate: Gate) -> Iterator[str]:
    """What the table does not show: counted figures that differ, and what was not compared."""
    for row in gate.rows:
        if found := [f"{what} {old:.4g} and {new:.4g}" for what, (old, new) in row.tally.facts().items()]:
            yield f"{place(row)}: counted in base and head, in every process: {'; '.join(found)}."
    for label in gate.same:
        yield f"{label}: not measured: its files are the same on both sides."
    for missing in gate.missing:
        yield f"{plain(missing.what)}: not compared: {plain(missing.reason)}"


def _gate(gate: Gate, width: int) -> Iterator[str]:
    for name, side in (("base", gate.base), ("head", gate.head)):
        yield from wrapped(f"{name}: {plain(side.revision)} ({side.commit[:10]})", width)
    yield from wrapped(f"harness: allocmark {__version__} in {Path(__file__).parents[1]}", width)
    if gate.uncommitted:
        yield "The working tree has uncommitted changes: they were not measured."
    for line in variables_said(gate.variables):
        yield from wrapped(f"{line}.", width)
    yield ""
    if gate.rows:
        yield from _table(gate.rows, width)
        yield ""
    for note in gate_notes(gate):
        yield from wrapped(note, width)
    if gate.rows:
        yield from wrapped(
            "ratio: head / base; below 1, head is faster. base, head: ns/object. rounds: sets of fresh processes. In "
            f"{1 - ERROR:.0%} of gates all intervals contain the true ratios.",
            width,
        )
    if gate.journal:
        yield f"samples: {gate.journal}"
    yield ""
    yield SAID[gate.status].format(limit=100 * gate.limit)


def _table(rows: tuple[GateRow, ...], width: int) -> Iterator[str]:
    texts = []
    for row in rows:
        used = row.tally.used()
        texts.append(
            [
                *ratio_texts(row.ratio),
                str(row.verdict or "failed"),
                *(median_text([getattr(each, side) for each in used]) for side in ("base", "head")),
                str(len(used) or ""),
                row.tally.pair.label,
                title_of(row),
            ]
        )
    headers = ("ratio", "interval", "verdict", "base", "head", "rounds", "backend", "workload")
    yield layout(headers, texts, RIGHT, width, SPARE)
    for row in rows:
        if row.tally.failure:
            yield from wrapped(f"{place(row)}: {plain(row.tally.failure)}", width)
        elif row.verdict == Verdict.CANNOT_TELL and not row.tally.used():
            yield from wrapped(f"{place(row)}: no round counts: CPUs changed their distance or speed in all", width)


def median_text(values: list[float]) -> str:
    """Of ns per object, as it is printed; "" for none."""
    return f"{median(values):.{decimals(median(values))}f}" if values else ""


def title_of(row: GateRow) -> str:
    """Workload and parameters of a cell."""
    record = row.tally.pair.case.record
    return f"{record.workload} {assignments(record.parameters)}".rstrip()


def place(row: GateRow) -> str:
    """Backend and case of a cell."""
    return f"{row.tally.pair.label} {title_of(row)}"


def _bisection(found: Bisection, width: int) -> Iterator[str]:
    yield from wrapped(f"bisecting {place(found.cause)}", width)
    yield ""
    for step in found.steps:
        said = " ".join(each for each in (*ratio_texts(step.ratio), plain(step.reason)) if each)
        yield from wrapped(f"{step.commit[:10]} {step.verdict:8} {said}", width)
    yield ""
    if found.first_bad is None:
        yield f"The first slow commit is one of these {len(found.candidates)}:"
        yield from (f"  {commit[:10]} {plain(found.subjects[commit])}" for commit in found.candidates)
        return
    yield from wrapped(f"first slow commit: {found.first_bad[:10]} {plain(found.subjects[found.first_bad])}", width)
    if found.proof:
        said = " ".join(ratio_texts(found.proof.ratio)).strip() or "no ratio"
        yield from wrapped(f"against the commit before it: {said}, {found.proof.verdict or 'failed'}", width)
