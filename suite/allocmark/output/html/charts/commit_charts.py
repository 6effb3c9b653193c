# SPDX-License-Identifier: BSD-3-Clause
"""Cost over commits: the newest commit as a table, the changes of level as a table, each series as a chart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from allocmark.output.html.charts import LESS, Chart, Link, short
from allocmark.output.html.page_tables import Column, Datum, Table, change, number, unbroken
from allocmark.output.text.figures import assignments, counted, figure, interval, plain
from allocmark.output.text.wording import parameters_of
from allocmark.results.records import UNIT
from allocmark.stats import Estimate

if TYPE_CHECKING:
    from allocmark.asv.history import Commit, History, Point, Series

TIMED = "time_object"
_STEPS = 20  #: more are on the pages of the backends


def newest(histories: Iterable[History]) -> list[Table]:
    """A table per machine: what an object costs at the newest commit that has figures, in each case."""
    return [table for each in histories if each.commits and (table := _newest(each))]


def _newest(history: History) -> Table | None:
    last = len(history.commits) - 1
    timed = [series for series in history.series if series.measure == TIMED]
    varying, _ = parameters_of(timed)
    cases: dict[tuple[str, str], dict[str, Point]] = {}
    for series in timed:
        point = next((p for p in series.points if p.commit == last), None)
        if point is not None:
            case = (series.workload, assignments(series.parameters, varying[series.workload]))
            cases.setdefault(case, {})[_label(series)] = point
    if not cases:
        return None
    commit = history.commits[last]
    name = f"{commit.hash[:8]} of {commit.date[:10]}: {plain(commit.subject)}"
    return Table.of(
        f"{UNIT} at the newest commit, {name}, on {plain(history.machine)}",
        (
            Column("workload", lambda workload, *_: plain(workload)),
            Column("parameters", lambda _, parameters, __: unbroken(parameters)),
            *map(_backend, dict.fromkeys(label for points in cases.values() for label in points)),
        ),
        [(*case, points) for case, points in cases.items()],
        key="parameters",
    )


def _backend(label: str) -> Column:
    def entry(_: str, __: str, points: Mapping[str, Point]) -> Datum:
        point = points.get(label)
        if point is None:
            return Datum()
        if point.low is None or point.high is None:
            return number(point.value)
        estimate = Estimate(point.value, point.low, point.high, point.n, covered=True)
        return Datum(figure(estimate), point.value, note=interval(estimate))

    return Column(plain(label), entry, True, f"{UNIT}; below it the 99 % interval")


def steps(histories: Iterable[History], link: Link) -> Table | None:
    """The changes of level that were found, the latest first; None when there are none."""
    found = [
        (history.commits[step.commit], history, series, step)
        for history in histories
        for series in history.series
        for step in series.steps
    ]
    if not found:
        return None
    found.sort(key=lambda each: each[0].date, reverse=True)
    rest = len(found) - _STEPS
    return Table.of(
        "Changes over commits, the latest first" + (f" ({counted(rest, 'older one')} not shown)" if rest > 0 else ""),
        (
            Column("commit", _commit),
            Column("backend", lambda *row: unbroken(_label(row[2]), link("backend", row[2].backend))),
            Column("case", lambda *row: plain(f"{row[2].workload} {assignments(row[2].parameters)}")),
            Column("measure", lambda *row: plain(f"{row[2].measure}, {row[2].unit}")),
            *_levels(),
            Column("machine", lambda _, history, *__: plain(history.machine)),
        ),
        found[:_STEPS],
    )


def charts(histories: Iterable[History], backend: str, asv: str | None) -> list[Chart]:
    """A chart for each machine and workload, in it a panel for each series, with the steps found."""
    found = []
    for history in histories:
        own: dict[tuple[str, str], list[Series]] = {}
        for series in history.series:
            if series.backend == backend and series.points:
                own.setdefault((series.workload, series.measure), []).append(series)
        found += [_chart(history, workload, measure, each, asv) for (workload, measure), each in own.items()]
    return found


def _chart(history: History, workload: str, measure: str, chosen: Sequence[Series], asv: str | None) -> Chart:
    unit = plain(chosen[0].unit)
    varying, fixed = parameters_of(chosen)
    several = len({series.variant for series in chosen}) > 1
    titles = [
        f"{plain(series.variant) if several else ''}  {assignments(series.parameters, varying[workload])}".strip()
        for series in chosen
    ]
    panels = [
        {
            "title": title,
            "points": [[p.commit, short(p.value), short(p.low), short(p.high)] for p in series.points],
            "steps": [[step.commit, short(step.before), short(step.after)] for step in series.steps],
        }
        for title, series in zip(titles, chosen, strict=True)
    ]
    used = {p.commit for series in chosen for p in series.points}
    commits = [
        {"hash": plain(c.hash[:8]), "date": plain(c.date[:10]), "subject": plain(c.subject), "url": _safe(c.url)}
        for c in history.commits
    ]
    found = [(history.commits[step.commit], history, series, step) for series in chosen for step in series.steps]
    found.sort(key=lambda row: -abs(row[3].after - row[3].before) / (row[3].before or math.inf))
    steps = Table.of(
        f"Steps in {workload} on {plain(history.machine)}, the largest first",
        (
            Column("commit", _commit),
            Column("variant", lambda *row: plain(row[2].variant)),
            Column("parameters", lambda *row: assignments(row[2].parameters)),
            *_levels(unit),
        ),
        found,
    )
    table = Table.of(
        f"{workload} on {plain(history.machine)} at each commit, the newest first, in {unit}",
        (Column("commit", _commit), *map(_level, titles, chosen)),
        [(history.commits[commit], commit) for commit in sorted(used, reverse=True)],
    )
    constant = f"In all panels: {fixed[workload]}. " if fixed[workload] else ""
    return Chart(
        "history",
        f"{plain(workload)}, {plain(measure)}, on {plain(history.machine)}",
        f"{unit} over commits",
        LESS,
        f"{counted(len(chosen), 'series')} over {counted(len(used), 'commit')}, {counted(len(found), 'step')} found.",
        {"panels": panels, "commits": commits, "unit": unit},
        table,
        f"{constant}Each panel has its own scale. A vertical line is a step that was found. A click on a point opens "
        "its commit.",
        more=(f"{asv}#{workload}.{measure}", "in asv") if asv else None,
        steps=steps if found else None,
    )


def _level(title: str, series: Series) -> Column:
    points = {point.commit: point.value for point in series.points}
    return Column(title, lambda _, commit: number(points.get(commit)), True)


def _levels(unit: str = "") -> tuple[Column, ...]:
    return (
        Column("before", lambda *row: number(row[3].before), True, unit),
        Column("after", lambda *row: number(row[3].after), True, unit),
        Column("change", lambda *row: change(row[3].before, row[3].after), True, "above 0 is worse"),
    )


def _commit(commit: Commit, *_: object) -> Datum:
    note = f"{commit.date[:10]} {plain(commit.subject)}"
    return Datum(commit.hash[:8], commit.date, href=_safe(commit.url), note=note)


def _label(series: Series) -> str:
    return f"{series.backend}:{series.variant}".strip(":")


def _safe(url: str | None) -> str | None:
    """An address that a click may follow: nothing that runs."""
    return url if url and url.startswith(("https://", "http://")) else None
