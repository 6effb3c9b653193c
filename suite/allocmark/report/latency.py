# SPDX-License-Identifier: BSD-3-Clause
"""What single gets and puts took, as a table a workload."""

from __future__ import annotations

from collections.abc import Sequence

from allocmark.report.figures import Names, layout, numeric, said_once, varied, wrapped
from allocmark.run.latency import CALLS, PERCENTILES, Calls
from allocmark.run.summary import CellSummary, GroupSummary

FEW = "few"  #: for a percentile beyond which too few calls lie
_SHOWN = [*PERCENTILES, "max"]
_COLUMNS = ["backend", *(f"{kind} {'' if name == 'max' else 'p'}{name}" for kind in CALLS for name in _SHOWN)]
_SPARE = ("put p99.99", "get p99.99", "put p50", "put max", "put p99", "put p99.9")  # in a narrow terminal


def latency_table(groups: Sequence[GroupSummary], names: Names, width: int) -> str:
    """Percentiles of the timed calls in nanoseconds, of the groups of one workload; empty when none were timed."""
    timed = [(group, cell) for group in groups for cell in group.cells if cell.latency]
    if not timed:
        return ""
    parameters = [group.planned.parameters for group in groups]
    varying, _ = varied(parameters)
    rows = [
        [*shown, names[cell.cell.label], *_figures(cell)]
        for group in groups
        for shown, cell in zip(
            said_once(group.planned.parameters, varying), [c for c in group.cells if c.latency], strict=False
        )
    ]
    title = f"{groups[0].planned.workload}: single calls, ns"
    table = layout([*varying, *_COLUMNS], rows, {*_COLUMNS[1:]} | numeric(parameters, varying), width, _SPARE)
    return "\n".join([title, "", table, "", *wrapped(_notes([cell for _, cell in timed]), width)])


def _figures(cell: CellSummary) -> list[str]:
    assert cell.latency
    return [text for calls in (cell.latency.get, cell.latency.put) for text in _of(calls)]


def _of(calls: Calls) -> list[str]:
    figures = [calls.percentiles[name] for name in PERCENTILES]
    return [*(_ns(ns) for ns in figures), _ns(calls.max_ns or None)]


def _ns(ns: float | None) -> str:
    return FEW if ns is None else f"{ns:.0f}" if ns < 100_000 else f"{ns:.3g}"


def _notes(cells: Sequence[CellSummary]) -> str:
    passes = [cell.latency for cell in cells if cell.latency]
    clock = max(each.clock_ns for each in passes)
    step = max(each.resolution_ns for each in passes)
    text = f"Reading the clock takes {clock:.0f} ns of each figure and has steps of {step:.0f} ns."
    if any(None in calls.percentiles.values() for each in passes for calls in (each.get, each.put)):
        text += f" {FEW}: fewer than 10 of the timed calls lie beyond it."
    return text
