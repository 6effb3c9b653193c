# SPDX-License-Identifier: BSD-3-Clause
"""The tracked benchmarks on what is installed, under the real asv, which here writes into a folder of its own."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tomllib
from itertools import product
from pathlib import Path

import pytest

import allocmark
from allocmark import installed
from allocmark.system import machine

pytest.importorskip("asv")

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def asv(tmp_path_factory):
    """Runs ``asv ARGUMENTS`` with the repository's configuration on a repository of one empty commit."""
    folder = tmp_path_factory.mktemp("asv")
    environ = {**os.environ, "HOME": str(folder)}  # asv keeps what it knows of the machine there

    def call(*command: str) -> str:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def run(*arguments: str) -> str:
        return call(sys.executable, "-m", "asv", *arguments)

    call("git", "init", "-q", ".")
    call("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "empty")
    text = (ROOT / "asv.conf.json").read_text()
    (folder / "asv.conf.json").write_text(text.replace("suite/benchmarks", str(ROOT / "suite" / "benchmarks")))
    (folder / "suite").mkdir()
    (folder / "suite" / "asv_environment").symlink_to(ROOT / "suite" / "asv_environment")
    run("machine", "--yes")
    run.commit = call("git", "rev-parse", "HEAD").strip()
    run.results = folder / ".asv" / "results"
    return run


@pytest.fixture
def benchmarks(monkeypatch):
    """The package that asv imports."""
    monkeypatch.syspath_prepend(ROOT / "suite")
    return importlib.import_module("benchmarks.workloads")


def test_asv_finds_no_fault_with_the_benchmarks(asv):
    assert "No problems found" in asv("check", "--python=same")


def test_results_hold_the_samples_of_the_engine(asv):
    # A regular expression: two backends on one mix, of which every combination of the parameters is tracked.
    chosen = r"^mixed_sizes.time.*\('(null|glibc):default', 'imix'"
    asv("run", "--python=same", "--set-commit-hash", asv.commit, "--record-samples", "-a", "rounds=2", "-b", chosen)
    known = json.loads((asv.results / "benchmarks.json").read_text())
    assert {"burst.time_object", "mixed_sizes.time_object", "cross_core_free.time_object"} <= set(known)

    (file,) = asv.results.glob(f"*/{asv.commit[:8]}-*.json")
    saved = json.loads(file.read_text())
    row = dict(zip(saved["result_columns"], saved["results"]["mixed_sizes.time_object"], strict=False))
    assert row["version"] == known["mixed_sizes.time_object"]["version"]
    cells = list(product(*row["params"]))
    figures = dict(zip(cells, row["result"], strict=True))
    samples = {cell: each for cell, each in zip(cells, row["samples"], strict=True) if each}
    assert {cell[0] for cell in samples} == {"'null:default'", "'glibc:default'"}
    for cell, each in samples.items():
        assert len(each) == 2  # one a round
        assert min(each) <= figures[cell] <= max(each)
    floor = {cell[1:]: min(each) for cell, each in samples.items() if cell[0] == "'null:default'"}
    # Seconds an object; and had asv timed a call of Python, it would be longer than this.
    assert all(0 < each < 100e-9 for each in floor.values())
    assert all(min(each) > floor[cell[1:]] for cell, each in samples.items() if cell[0] == "'glibc:default'")


def _cell(benchmark):
    return tuple(benchmark.cases[0].values())


def test_what_cannot_run_leaves_an_empty_cell(benchmarks, mutants, monkeypatch):
    monkeypatch.syspath_prepend(mutants)
    with pytest.raises(NotImplementedError, match="for at most 1 actor per pool"):
        benchmarks.cross_core_free_time_object().setup("mutant:alone", *_cell(benchmarks.cross_core_free_time_object))


def test_too_few_cores_leave_an_empty_cell(benchmarks, monkeypatch):
    monkeypatch.setattr(machine, "usable_cpus", lambda: [0])
    with pytest.raises(NotImplementedError, match="need 2 cores, and 1 may be used here"):
        benchmarks.cross_core_free_time_object().setup("null:default", *_cell(benchmarks.cross_core_free_time_object))


def test_a_combination_that_is_not_tracked_is_empty_and_costs_no_process(benchmarks):
    burst = benchmarks.burst_time_object
    every = [dict(zip(burst.param_names[1:], values, strict=True)) for values in product(*burst.params[1:])]
    other = next(each for each in every if each not in burst.cases)
    with pytest.raises(NotImplementedError, match="not in the tracked set"):
        burst().setup("nobody", *other.values())


def test_a_backend_that_nobody_knows_is_a_failure_of_what_is_installed(benchmarks):
    with pytest.raises(Exception, match="no backend is called 'nobody'") as raised:
        benchmarks.burst_time_object().setup("nobody", *_cell(benchmarks.burst_time_object))
    assert not isinstance(raised.value, NotImplementedError)


def test_the_version_follows_the_workload_and_the_way_of_measuring(benchmarks):
    burst = benchmarks.burst_time_object
    assert burst.version == f"{allocmark.MEASURING_VERSION}-{allocmark.find_workload('burst').digest}"
    assert benchmarks.full_burst_time_object.version == burst.version
    assert benchmarks.mixed_sizes_time_object.version != burst.version


def test_every_cell_of_every_workload_is_in_the_full_set(benchmarks):
    for file in (ROOT / "workloads").glob("*.yaml"):
        cases = allocmark.find_workload(str(file)).cases()
        assert [case.parameters for case in cases] == getattr(benchmarks, f"full_{file.stem}_time_object").cases


def test_every_backend_of_the_repository_is_tracked(benchmarks):
    registered = {each.backend.label: each.distribution.split()[0] for each in installed.load().backends}
    tracked = benchmarks.BACKENDS | benchmarks.MALLOCS | benchmarks.POOLS
    assert tracked.items() <= registered.items()
    projects = [tomllib.loads(file.read_text())["project"] for file in ROOT.glob("backends/*/pyproject.toml")]
    assert set(tracked.values()) == {"allocmark", *(each["name"] for each in projects)}
