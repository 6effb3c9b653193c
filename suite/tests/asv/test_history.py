# SPDX-License-Identifier: BSD-3-Clause
"""Results laid on the commits of a real repository."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from allocmark.asv import gather
from allocmark.asv.history import History, Point, commits_of, histories, steps_in
from allocmark.asv.stored_results import read_results
from allocmark.errors import AllocmarkError
from fixtures import synthetic

URL = "https://example.org/commit/"


def history_of(project: Path) -> History:
    (history,) = histories(read_results(project / ".asv/results"), commits_of(project, ["HEAD"], URL))
    return history


def test_commits_times_cells(tmp_path: Path) -> None:
    hashes = synthetic.project(tmp_path, 4)
    history = history_of(tmp_path)
    assert [commit.hash for commit in history.commits] == hashes
    first = history.commits[0]
    assert (first.date, first.subject, first.url) == ("2023-11-14T22:13:20+00:00", "Change 0", URL + hashes[0])
    assert len(history.series) == 24
    assert [series.parameters["bulk"] for series in history.series[:2]] == [1, 2]
    one = next(s for s in history.series if (s.workload, s.backend, s.parameters) == ("burst", "glibc", {"bulk": 2}))
    assert (one.variant, one.measure, one.unit) == ("default", "time_object", "ns/object")
    assert [point.commit for point in one.points] == [0, 1, 2, 3]
    assert all(point.value == pytest.approx(10, rel=0.02) for point in one.points)  # 4 ns, times 2.5 at bulk 2
    assert all(point.low < point.value < point.high for point in one.points)  # type: ignore[operator]


def test_a_planted_step_is_found_where_it_is_and_nowhere_else(tmp_path: Path) -> None:
    synthetic.project(tmp_path, 24)
    for series in history_of(tmp_path).series:
        if f"{series.backend}:{series.variant}" == synthetic.SLOWED:
            (step,) = series.steps
            assert step.commit == 12
            assert step.after / step.before == pytest.approx(1.1, rel=0.02)
        else:
            assert series.steps == ()


def slowed(value: Any) -> Any:
    """A figure, or a list of them, 1.3 times as large."""
    return [slowed(each) for each in value] if isinstance(value, list) else value and value * 1.3


def test_a_step_of_the_floor_is_none_of_the_backends(tmp_path: Path) -> None:
    hashes = synthetic.project(tmp_path, 24)
    place = tmp_path / ".asv/results" / str(synthetic.MACHINE["machine"])
    for name in hashes[12:]:  # another machine of the same name
        (file,) = place.glob(f"{name[:8]}-*.json")
        members = json.loads(file.read_text())
        for bench, row in members["results"].items():
            entry = dict(zip(members["result_columns"], row, strict=False))
            for column in ("result", "stats_ci_99_a", "stats_ci_99_b", "stats_q_25", "stats_q_75", "samples"):
                entry[column] = slowed(entry.get(column))
            members["results"][bench] = list(entry.values())
        file.write_text(json.dumps(members))
    facts = {key: value for key, value in synthetic.MACHINE.items() if key != "cpu"}
    (place / "machine.json").write_text(json.dumps(facts))
    history = history_of(tmp_path)
    for series in history.series:
        # What got slower by itself is still told, and so is the floor.
        told = series.backend == "null" or f"{series.backend}:{series.variant}" == synthetic.SLOWED
        assert [step.commit for step in series.steps] == [12] * told
    unknown, moved = history.notes
    assert "its hardware is not known" in unknown
    assert f"(at {hashes[12][:8]})" in moved


def test_a_small_step_is_none() -> None:
    def line(after: float) -> list[Point]:
        return [Point(i, (1.0 if i < 10 else after) + 0.001 * (i % 3), None, None, 1) for i in range(20)]

    assert steps_in(line(1.02)) == ()
    assert [step.commit for step in steps_in(line(1.04))] == [10]


def test_noise_that_the_intervals_cover_is_no_step() -> None:
    def line(half: float) -> list[Point]:
        return [Point(i, v, v - half, v + half, 10) for i, v in enumerate([1.0, 1.0, 1.0, 1.4, 1.4, 1.4])]

    assert steps_in(line(0.3)) == ()
    assert [step.commit for step in steps_in(line(0.1))] == [3]


def test_figures_of_another_version_are_left_out_and_told(tmp_path: Path) -> None:
    synthetic.project(tmp_path, 4)
    listed = tmp_path / ".asv/results/benchmarks.json"
    listed.write_text(listed.read_text().replace('"1-burst"', '"2-burst"'))
    history = history_of(tmp_path)
    assert {series.workload for series in history.series} == {"cross_core_free", "mixed_sizes"}
    (note,) = history.notes
    assert note.startswith("bench1: figures of burst.time_object are left out where another version")


def test_a_larger_set_of_benchmarks_is_of_the_same_workload(tmp_path: Path) -> None:
    """The latest figure of a cell counts, whichever set of benchmarks it was measured in."""
    synthetic.project(tmp_path, 2)
    results = tmp_path / ".asv/results"
    listed = json.loads((results / "benchmarks.json").read_text())
    listed["full.burst.time_object"] = listed["burst.time_object"] | {"name": "full.burst.time_object"}
    (results / "benchmarks.json").write_text(json.dumps(listed))
    first = min((results / "bench1").glob("*-virtualenv-py3.11.json"), key=lambda p: json.loads(p.read_text())["date"])
    members = json.loads(first.read_text())
    later = list(members["results"]["burst.time_object"])
    synthetic.set_figures(later, 7e-9)
    later[synthetic.COLUMNS.index("started_at")] += 1
    members["results"]["full.burst.time_object"] = later
    first.write_text(json.dumps(members))
    burst = [series for series in history_of(tmp_path).series if series.workload == "burst"]
    assert len(burst) == 8
    assert all(series.points[0].value == pytest.approx(7.0) != series.points[1].value for series in burst)


def test_rewritten_commits_are_left_out_and_told(tmp_path: Path) -> None:
    hashes = synthetic.project(tmp_path, 4)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "commit", "-q", "--amend", "-m", "Rewritten"], check=True)
    history = history_of(tmp_path)
    assert [commit.hash for commit in history.commits] == hashes[:3]
    (note,) = history.notes
    assert note.startswith(
        "bench1: 1 commit with results left out, because this history lacks them (rewritten, or on another branch)"
    )
    assert hashes[3][:8] in note


def test_the_latest_of_several_environments_counts(tmp_path: Path) -> None:
    synthetic.project(tmp_path, 1)
    (path,) = (tmp_path / ".asv/results/bench1").glob("*-virtualenv-py3.11.json")
    members = json.loads(path.read_text())
    started = synthetic.COLUMNS.index("started_at")
    for row in members["results"].values():
        synthetic.set_figures(row, 5e-9)
        row[started] += 1
    path.with_name(path.name.replace("py3.11", "py3.12")).write_text(json.dumps(members))
    for series in history_of(tmp_path).series:
        assert [point.value for point in series.points] == [pytest.approx(5.0)]


def test_cells_without_a_figure_have_no_point(tmp_path: Path) -> None:
    synthetic.project(tmp_path, 2)
    path = min((tmp_path / ".asv/results/bench1").glob("*-virtualenv-py3.11.json"))
    members = json.loads(path.read_text())
    members["results"]["burst.time_object"][0] = None  # all failed
    members["results"]["mixed_sizes.time_object"][0][:2] = [float("nan"), float("inf")]
    path.write_text(json.dumps(members))
    history = history_of(tmp_path)
    short = [series for series in history.series if len(series.points) == 1]
    assert len(history.series) == 24
    assert len(short) == 8 + 2


def test_what_git_says_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(AllocmarkError, match=r"git log failed in .*: fatal: not a git repository") as caught:
        commits_of(tmp_path, ["HEAD"])
    assert "\n" not in str(caught.value)
    found = gather.history(tmp_path / "none", tmp_path, ["HEAD"], None)
    assert found.history == ()
    assert len(found.notes) == 2


def test_a_commit_of_a_time_that_no_calendar_has(tmp_path: Path) -> None:
    synthetic.repository(tmp_path, 1)
    stream = "commit refs/heads/main\ncommitter A <a@example.org> 999999999999 +0000\ndata 4\nlate\n"
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "fast-import", "--quiet", "--force"], input=stream, text=True, check=True)
    (late,) = commits_of(tmp_path, ["main"])
    assert late.date.startswith("9999-12-31")
