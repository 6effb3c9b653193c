# SPDX-License-Identifier: BSD-3-Clause
"""The history of every cell: the figures that asv stored, commit by commit, and the steps found in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from allocmark.asv.stored_results import Benchmark, Machine, Results, StoredCell, current_figures, unit_of
from allocmark.gate.revisions.git import git
from allocmark.output.text.figures import counted
from allocmark.stats import median

FLOOR = "null"  #: the backend whose figures only the machine and the harness change
_LAST_SECOND = 253_402_300_799  # of the year 9999; a broken commit may be of any time
STEP = 0.03  #: smaller changes of level are no step: a machine varies as much from one day to the next


@dataclass(frozen=True)
class Commit:
    """A commit of the history. ``date`` is ISO 8601 in UTC; ``url`` shows it, None where nothing does."""

    hash: str
    date: str
    subject: str
    url: str | None


@dataclass(frozen=True)
class Point:
    """A figure at ``History.commits[commit]``; its 99 % interval, or None where ``n`` samples are too few."""

    commit: int
    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class LevelStep:
    """The level changed from ``before`` to ``after``, first seen at ``History.commits[commit]``."""

    commit: int
    before: float
    after: float


@dataclass(frozen=True)
class Series:
    """A figure of a cell over the commits, oldest first.

    ``measure`` is the benchmark's name without the workload (``time_object``, in ``ns/object``), ``unit`` as shown.
    """

    workload: str
    measure: str
    parameters: Mapping[str, Any]
    backend: str
    variant: str
    unit: str
    version: str
    points: tuple[Point, ...]
    steps: tuple[LevelStep, ...]


@dataclass(frozen=True)
class History:
    """What one machine measured. ``commits``: those with a figure, oldest first; ``notes``: what is left out."""

    machine: str
    facts: Mapping[str, str]
    commits: tuple[Commit, ...]
    series: tuple[Series, ...]
    notes: tuple[str, ...]


def commits_of(repository: Path, branches: Sequence[str], show_url: str | None = None) -> list[Commit]:
    """The commits of ``branches`` (first parents, as asv follows them), oldest first. Raises AllocmarkError.

    ``show_url`` followed by a hash is the page of a commit.
    """
    order = ("--first-parent", "--topo-order", "--reverse", "-z")
    commits = []
    for entry in filter(None, git(repository, "log", *order, "--format=%H%x1f%ct%x1f%s", *branches, "--").split("\0")):
        name, seconds, subject = entry.split("\x1f", 2)
        date = datetime.fromtimestamp(min(int(seconds), _LAST_SECOND), UTC).isoformat()
        commits.append(Commit(name, date, subject, show_url + name if show_url else None))
    return commits


def histories(results: Results, commits: Sequence[Commit]) -> list[History]:
    """A history for each machine that has figures on ``commits``, which are in order, oldest first."""
    place = {commit.hash: index for index, commit in enumerate(commits)}
    found = [_history(machine, results.benchmarks, commits, place) for machine in results.machines]
    return [history for history in found if history.series or history.notes]


_Key = tuple[str, str, tuple[Any, ...]]  # workload, measure, values of the parameters


def _history(
    machine: Machine, benchmarks: Mapping[str, Benchmark], commits: Sequence[Commit], place: Mapping[str, int]
) -> History:
    newest: dict[tuple[_Key, int], tuple[float, StoredCell, Benchmark]] = {}
    stale: set[str] = set()
    for file in machine.files:
        if file.commit not in place:
            continue
        rows = list(current_figures(file, benchmarks))
        stale |= {row.benchmark for row in file.rows} - {row.benchmark for _, row in rows}
        for benchmark, row in rows:
            # The name may begin with a set of benchmarks: full.burst.time_object belongs to burst, too.
            *_, workload, measure = ["", *row.benchmark.split(".")]
            for cell in row.cells:
                if cell.value is None or len(cell.values) != len(benchmark.parameters):
                    continue
                # One figure per commit: the latest, when several environments have measured it.
                slot = ((workload, measure, cell.values), place[file.commit])
                if slot not in newest or newest[slot][0] <= row.started:
                    newest[slot] = (row.started, cell, benchmark)
    shown = sorted({at for _, at in newest})
    index = {at: number for number, at in enumerate(shown)}
    lines: dict[_Key, list[tuple[int, StoredCell]]] = {}
    latest: dict[_Key, Benchmark] = {}
    for (key, at), (_, cell, benchmark) in sorted(newest.items(), key=lambda item: item[0][1]):
        lines.setdefault(key, []).append((index[at], cell))
        latest[key] = benchmark
    series = tuple(_series(key, latest[key], lines[key]) for key in sorted(lines, key=_order))
    series, moved = _without_machine_steps(series)
    notes = _left_out(machine, place, stale)
    if shown and not machine.facts.get("cpu"):
        notes += (
            f"{machine.name}: its hardware is not known, as asv stored no processor: its results may be of several "
            "machines, and a step may be a change of machine",
        )
    if moved:
        places = ", ".join(commits[shown[i]].hash[:8] for i in sorted(moved))
        notes += (
            f"{machine.name}: no step is shown where the floor has the same one (at {places}): the machine or the "
            "harness changed there, not the backends",
        )
    return History(machine.name, machine.facts, tuple(commits[i] for i in shown), series, notes)


def _without_machine_steps(series: tuple[Series, ...]) -> tuple[tuple[Series, ...], set[int]]:
    """The series without the steps that the floor takes alike, and the commits of these steps."""

    def cell(one: Series) -> tuple[Any, ...]:
        return one.workload, one.measure, tuple(one.parameters.items())

    floors = {cell(one): one.steps for one in series if one.backend == FLOOR}
    moved: set[int] = set()
    kept = []
    for one in series:
        alike = {
            step.commit
            for step in one.steps
            for floor in floors.get(cell(one), ())
            if step.commit == floor.commit and _alike(step, floor)
        }
        if one.backend == FLOOR or not alike:
            kept.append(one)
        else:
            moved |= alike
            kept.append(replace(one, steps=tuple(step for step in one.steps if step.commit not in alike)))
    return tuple(kept), moved


def _alike(step: LevelStep, floor: LevelStep) -> bool:
    """Whether less than a step remains of ``step`` when the factor of the floor's is taken out."""
    if not all((step.before, step.after, floor.before, floor.after)):
        return False
    factor = (step.after / step.before) / (floor.after / floor.before)
    return factor > 0 and max(factor, 1 / factor) <= 1 + STEP


def _order(key: _Key) -> tuple[str, str, list[tuple[bool, float, str]]]:
    """By workload, measure, then parameters: numbers by value, before texts."""
    workload, measure, values = key
    return workload, measure, [(False, v, "") if isinstance(v, int | float) else (True, 0, str(v)) for v in values]


def _left_out(machine: Machine, place: Mapping[str, int], stale: set[str]) -> tuple[str, ...]:
    notes = []
    gone = list(dict.fromkeys(file.commit[:8] for file in machine.files if file.commit not in place))
    if gone:
        few = ", ".join(gone[:3]) + (", …" if len(gone) > 3 else "")
        notes.append(
            f"{machine.name}: {counted(len(gone), 'commit')} with results left out, because this history lacks them "
            f"(rewritten, or on another branch): {few}"
        )
    if stale:
        notes.append(
            f"{machine.name}: figures of {', '.join(sorted(stale))} are left out where another version of the "
            "benchmark measured them: measure those commits again"
        )
    return tuple(notes)


def _series(key: _Key, benchmark: Benchmark, line: Sequence[tuple[int, StoredCell]]) -> Series:
    workload, measure, values = key
    parameters = dict(zip(benchmark.parameters, values, strict=True))
    backend, _, variant = str(parameters.pop("backend", "")).partition(":")
    unit, scale = unit_of(benchmark.unit)
    points = tuple(
        Point(index, cell.value * scale, _scaled(cell.low, scale), _scaled(cell.high, scale), cell.n)
        for index, cell in line
        if cell.value is not None
    )
    return Series(workload, measure, parameters, backend, variant, unit, benchmark.version, points, steps_in(points))


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale


def steps_in(points: Sequence[Point]) -> tuple[LevelStep, ...]:
    """The changes of level by more than `STEP`, found by asv's step detection (``asv.step_detect``).

    Where both levels have intervals, these must not overlap: with few commits, asv's detection takes noise for steps.
    """
    from asv.step_detect import detect_steps  # type: ignore[import-untyped]

    pieces = detect_steps([point.value for point in points], [_weight(point) for point in points])
    steps = []
    level = pieces[0][2] if pieces else 0.0
    begin = 0
    for left, right, value, _, _ in pieces[1:]:
        if abs(value - level) > STEP * min(abs(value), abs(level)) and _apart(points[begin:left], points[left:right]):
            steps.append(LevelStep(points[left].commit, level, value))
            level, begin = value, left
    return tuple(steps)


def _apart(before: Sequence[Point], after: Sequence[Point]) -> bool:
    """Whether the median intervals of two stretches do not overlap, or one has none."""
    usual: list[tuple[float, float]] = []
    for points in (before, after):
        ends = [(point.low, point.high) for point in points if point.low is not None and point.high is not None]
        if not ends:
            return True
        usual.append((median(low for low, _ in ends), median(high for _, high in ends)))
    (low, high), (later_low, later_high) = usual
    return high < later_low or later_high < low


def _weight(point: Point) -> float | None:
    """The weight that asv would give: the inverse of the interval's half width; None without an interval."""
    if point.low is None or point.high is None or point.high == point.low:
        return None
    return 2 / abs(point.high - point.low)
