# SPDX-License-Identifier: BSD-3-Clause
"""asv's results as they are stored, and as accidents leave them."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asv.results import Results as AsvResults
from asv.runner import BenchmarkResult

from allocmark.asv.stored_results import read_results
from fixtures import synthetic


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder of three commits and 24 cells."""
    synthetic.project(tmp_path / "project", 3)
    return tmp_path / "project/.asv/results"


Change = Callable[[dict[str, Any]], object]


def edit(path: Path, change: Change) -> None:
    members = json.loads(path.read_text())
    change(members)
    path.write_text(json.dumps(members))


def files(results: Path) -> list[Path]:
    return sorted(path for path in (results / "bench1").glob("*.json") if path.name != "machine.json")


def test_everything_is_read(results: Path) -> None:
    read = read_results(results)
    assert read.notes == ()
    (machine,) = read.machines
    assert (machine.name, machine.facts["cpu"]) == ("bench1", "AMD EPYC")
    assert len(machine.files) == 3
    cells = [cell for file in machine.files for row in file.rows for cell in row.cells]
    assert len(cells) == 72
    assert all(cell.low < cell.value < cell.high and cell.n == len(cell.samples) == 10 for cell in cells)  # type: ignore[operator]
    assert {cell.values for cell in machine.files[0].rows[0].cells} == {
        (b, n) for b in synthetic.BACKENDS for n in (1, 2)
    }


def test_what_asv_itself_writes_is_read(tmp_path: Path) -> None:
    """Written by asv's own code: failed cells are null there, skipped ones NaN, and few samples have no interval."""
    machine = {key: value for key, value in synthetic.MACHINE.items() if key != "version"}
    stored = AsvResults(machine, {}, "a" * 40, 1_700_000_000_000, "3.11", "virtualenv-py3.11", {})
    params = [["'turbomem:thp'", "'glibc:default'", "'null:default'", "'x'"], ["1"]]
    benchmark = {"name": "burst.time_object", "params": params, "version": "1-d"}
    samples = [[1e-9 * n for n in range(1, 12)], None, None, [3e-9]]
    measured = BenchmarkResult([0.0, None, math.nan, 0.0], samples, [1, None, None, 1], 0, "", None)
    now = datetime.datetime.now(datetime.UTC)
    stored.add_result(benchmark, measured, started_at=now, duration=1.0, record_samples=True)
    (tmp_path / "bench1").mkdir()
    stored.save(str(tmp_path))
    (tmp_path / "bench1/machine.json").write_text(json.dumps(synthetic.MACHINE))
    entry = benchmark | {"type": "time", "unit": "seconds", "param_names": ["backend", "bulk"]}
    (tmp_path / "benchmarks.json").write_text(json.dumps({"burst.time_object": entry, "version": 2}))
    read = read_results(tmp_path)
    assert read.notes == ()
    ((row,),) = (file.rows for file in read.machines[0].files)
    whole, failed, skipped, few = row.cells
    assert whole.value == pytest.approx(6e-9)
    assert whole.low is not None
    assert whole.high is not None
    assert (whole.low < 6e-9 < whole.high, whole.n, len(whole.samples)) == (True, 11, 11)
    assert (failed.value, skipped.value) == (None, None)
    assert (few.value, few.low, few.high) == (pytest.approx(3e-9), None, None)
    assert [cell.values for cell in row.cells] == [
        ("turbomem:thp", 1),
        ("glibc:default", 1),
        ("null:default", 1),
        ("x", 1),
    ]


def test_no_folder_is_no_results(tmp_path: Path) -> None:
    (note,) = read_results(tmp_path / "results").notes
    assert "no results yet: `asv run` measures commits" in note


def figure(column: str, value: Any) -> Change:
    """That member of the first cell of a row is ``value``."""

    def change(members: dict[str, Any]) -> None:
        members["results"]["burst.time_object"][synthetic.COLUMNS.index(column)][0] = value

    return change


def member(**changed: Any) -> Change:
    return lambda members: members.update(changed)


DAMAGE: list[tuple[bytes | Change, str]] = [
    *((content, "") for content in (b"", b"{", b"[]", b"\xff", b"null", b'{"version": 1}', b"[" * 100_000)),
    *(
        (member(**{key: value}), f'"{key}" is missing or of a wrong kind')
        for key in ("commit_hash", "date", "env_name", "params", "result_columns", "results")
        for value in (None, {} if key == "result_columns" else ["x"])
    ),
    (
        lambda members: members["params"].update(cpu="Intel Xeon"),
        "another machine of the name bench1 (cpu Intel Xeon, ",
    ),
    (
        lambda members: members["results"]["burst.time_object"][0].pop(),
        'burst.time_object has no list of 8 for "result"',
    ),
    (member(result_columns=[1, {}]), "damaged: "),
    (member(params={"machine": "bench1", "x": []}), "damaged: "),
    (member(date=1e300), "damaged: "),
    (member(commit_hash="--help"), "damaged: "),
    (member(results={"burst.time_object": [[1.0], 5]}), "damaged: "),
    (member(results={"burst.time_object": [None, [["1"] * 1000] * 4]}), "damaged: "),
    (figure("result", 1e300), "too large"),
    (figure("result", 10**400), "something else in the place of a number"),
    (figure("result", -1.0), "negative"),
    (figure("result", True), "something else in the place of a number"),
    (figure("result", 5e-9), "and samples with the median"),
    (figure("stats_ci_99_b", 1e-15), "outside its interval"),
    (figure("samples", "many"), "samples that are no list"),
    (figure("stats_repeat", -3), "negative"),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGE)
def test_a_damaged_file_costs_itself(results: Path, damage: bytes | Change, said: str) -> None:
    first, bad, last = files(results)
    if isinstance(damage, bytes):
        bad.write_bytes(damage)
    else:
        edit(bad, damage)
    read = read_results(results)
    (note,) = read.notes
    assert note.startswith(f"{bad}: ")
    assert said in note
    assert note.endswith(": left out")
    assert "\n" not in note
    assert [file.path for file in read.machines[0].files] == [first, last]


@pytest.mark.parametrize("damage", ["gone", "cut", "nameless"])
def test_a_machine_unknown_to_asv_costs_its_results(results: Path, damage: str) -> None:
    known = results / "bench1/machine.json"
    other = results / "bench2"
    other.mkdir()
    (other / "12345678-env.json").write_bytes(files(results)[0].read_bytes())
    if damage != "gone":
        (other / "machine.json").write_text('{"machine": ' if damage == "cut" else '{"version": 1}')
    read = read_results(results)
    (note,) = read.notes
    assert str(other / "machine.json") in note
    assert "asv does not know this machine: 1 result file left out" in note
    assert [machine.folder for machine in read.machines] == [known.parent]


def test_two_folders_of_one_name(results: Path) -> None:
    copy = results / "another"
    copy.mkdir()
    for path in (results / "bench1").iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    read = read_results(results)
    (note,) = read.notes
    assert f"{copy}: holds results of machine bench1: left out" in note
    assert len(read.machines) == 1


def test_without_the_list_of_benchmarks_there_is_no_history(results: Path) -> None:
    (results / "benchmarks.json").write_text('{"burst.time_object": {"ver')
    read = read_results(results)
    (note,) = read.notes
    assert "benchmarks.json: damaged or half-written" in note
    assert "asv run --bench just-discover" in note
    assert read.machines == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 3}, "a member is missing or of a wrong kind"),
        ({"params": {"backend": 1}}, "a member is missing or of a wrong kind"),
        ({"param_names": ["backend", 7]}, "do not fit together"),
        ({"param_names": ["backend"]}, "do not fit together"),
        ({"name": "other"}, "do not fit together"),
    ],
)
def test_one_damaged_benchmark_costs_its_figures(results: Path, change: dict[str, Any], said: str) -> None:
    edit(results / "benchmarks.json", lambda members: members["burst.time_object"].update(change))
    read = read_results(results)
    (note,) = read.notes
    assert note.startswith(f"{results}/benchmarks.json: burst.time_object: damaged: ")
    assert said in note
    assert sorted(read.benchmarks) == ["cross_core_free.time_object", "mixed_sizes.time_object"]
    assert len(read.machines[0].files) == 3
