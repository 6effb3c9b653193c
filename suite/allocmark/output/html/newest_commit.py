# SPDX-License-Identifier: BSD-3-Clause
"""What the history says at a glance: the figures of each machine's newest commit, and the steps found lately."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from allocmark.asv.history import Commit, History, Point, Series
from allocmark.output.html.overview import Link
from allocmark.output.html.page_tables import Column, Datum, Table, number, text, unbroken
from allocmark.output.text.figures import assignments, counted, figure, interval, plain, varied
from allocmark.stats import Estimate

TIMED = "time_object"
_STEPS = 20  #: more are on the pages of the backends


def newest(histories: Sequence[History]) -> list[Table]:
    """A table a machine: what an object costs at the newest commit that has figures, cell by cell."""
    return [table for each in histories if each.commits and (table := _newest(each))]


def _newest(history: History) -> Table | None:
    last = len(history.commits) - 1
    timed = [series for series in history.series if series.measure == TIMED]
    parameters: dict[str, list[Mapping[str, Any]]] = {}
    for series in timed:
        parameters.setdefault(series.workload, []).append(series.parameters)
    varying = {workload: varied(each)[0] for workload, each in parameters.items()}
    cells: dict[tuple[str, str], dict[str, Point]] = {}
    for series in timed:
        point = next((p for p in series.points if p.commit == last), None)
        if point is not None:
            place = (series.workload, assignments(series.parameters, varying[series.workload]))
            cells.setdefault(place, {})[_label(series)] = point
    if not cells:
        return None
    backends = list(dict.fromkeys(label for points in cells.values() for label in points))
    return Table.of(
        f"ns/object at the newest commit, {_name(history.commits[last])}, on {plain(history.machine)}",
        (
            Column("workload"),
            Column("parameters"),
            *(Column(plain(label), True, "ns/object; below it the 99 % interval") for label in backends),
        ),
        [
            [text(plain(workload)), unbroken(plain(parameters))] + [_figure(points.get(label)) for label in backends]
            for (workload, parameters), points in cells.items()
        ],
    )


def steps(histories: Sequence[History], link: Link) -> Table | None:
    """The changes of level that were detected, the latest first; None when there are none."""
    found = sorted(
        ((history.commits[step.commit], history, series, step) for history in histories for series in history.series
         for step in series.steps),
        key=lambda each: each[0].date,
        reverse=True,
    )  # fmt: skip
    if not found:
        return None
    rest = len(found) - _STEPS
    return Table.of(
        "Changes over commits, the latest first" + (f" ({counted(rest, 'older one')} not shown)" if rest > 0 else ""),
        (
            Column("commit"),
            Column("backend"),
            Column("workload"),
            Column("measure"),
            Column("before", True),
            Column("after", True),
            Column("change", True, "below 0 is cheaper"),
            Column("machine"),
        ),
        [
            [
                Datum(
                    commit.hash[:8], commit.date, href=commit.url, note=f"{commit.date[:10]} {plain(commit.subject)}"
                ),
                unbroken(plain(_label(series)), href=link("backend", series.backend)),
                text(f"{plain(series.workload)} {plain(assignments(series.parameters))}".strip()),
                text(f"{plain(series.measure)}, {plain(series.unit)}"),
                number(_exact(step.before)),
                number(_exact(step.after)),
                _change(step.before, step.after),
                text(plain(history.machine)),
            ]
            for commit, history, series, step in found[:_STEPS]
        ],
    )


def _label(series: Series) -> str:
    return f"{series.backend}:{series.variant}".strip(":")


def _name(commit: Commit) -> str:
    return f"{commit.hash[:8]} of {commit.date[:10]}: {plain(commit.subject)}"


def _figure(point: Point | None) -> Datum:
    if point is None:
        return Datum()
    if point.low is None or point.high is None:
        return number(_exact(point.value))
    estimate = Estimate(point.value, point.low, point.high, point.n, covered=True)
    return Datum(figure(estimate), point.value, note=interval(estimate))


def _exact(value: float) -> Estimate:
    return Estimate(value, value, value, 1, covered=True)


def _change(before: float, after: float) -> Datum:
    if before == 0:
        return Datum()
    change = after / before - 1
    return Datum(f"{change * 100:+.1f}\N{NO-BREAK SPACE}%", change, tone="dearer" if change > 0 else "cheaper")
