# SPDX-License-Identifier: BSD-3-Clause
"""What single gets and puts took, as a table a workload."""

from __future__ import annotations

from collections.abc import Sequence

from allocmark.output.text.figures import Names
from allocmark.output.text.pass_table import table_beside
from allocmark.passes.latency import CALLS, PERCENTILES, Calls
from allocmark.results.summary import CaseSummary, CellSummary

FEW = "few"  #: for a percentile beyond which too few calls lie
_SHOWN = [*PERCENTILES, "max"]
_COLUMNS = [f"{kind} {'' if name == 'max' else 'p'}{name}" for kind in CALLS for name in _SHOWN]
_SPARE = ("put p99.99", "get p99.99", "put p50", "put max", "put p99", "put p99.9")  # in a narrow terminal


def latency_table(cases: Sequence[CaseSummary], names: Names, width: int) -> str:
    """Percentiles of the timed calls in nanoseconds, of the cases of one workload; empty when none were timed."""
    return table_beside(
        cases,
        names,
        width,
        title="single calls, ns",
        columns=_COLUMNS,
        spare=_SPARE,
        found=lambda cell: cell.latency is not None,
        figures=_figures,
        note=_note,
    )


def _figures(cell: CellSummary) -> list[str]:
    assert cell.latency
    return [text for calls in (cell.latency.get, cell.latency.put) for text in _of(calls)]


def _of(calls: Calls) -> list[str]:
    figures = [calls.percentiles[name] for name in PERCENTILES]
    return [*(_ns(ns) for ns in figures), _ns(calls.max_ns or None)]


def _ns(ns: float | None) -> str:
    return FEW if ns is None else f"{ns:.0f}" if ns < 100_000 else f"{ns:.3g}"


def _note(cells: Sequence[CellSummary]) -> str:
    passes = [cell.latency for cell in cells if cell.latency]
    clock = max(each.clock_ns for each in passes)
    step = max(each.resolution_ns for each in passes)
    text = f"Reading the clock takes {clock:.0f} ns of each figure and has steps of {step:.0f} ns."
    if any(None in calls.percentiles.values() for each in passes for calls in (each.get, each.put)):
        text += f" {FEW}: fewer than 10 of the timed calls lie beyond it."
    return text
