# SPDX-License-Identifier: BSD-3-Clause
"""The tracked benchmarks under the real asv, which here writes into a folder of its own."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
import tomllib
from itertools import product
from pathlib import Path

import pytest

from allocmark import plugins

pytest.importorskip("asv")

ROOT = Path(__file__).parents[2]


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
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def run(*arguments: str) -> str:
        return call(sys.executable, "-m", "asv", *arguments)

    call("git", "init", "-q", ".")
    call("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "empty")
    comment, _, text = (ROOT / "asv.conf.json").read_text().partition("\n")
    assert comment.startswith("// SPDX")
    config = json.loads(text)
    config["benchmark_dir"] = str(ROOT / config["benchmark_dir"])
    (folder / "asv.conf.json").write_text(json.dumps(config))
    run("machine", "--yes")
    run.commit = call("git", "rev-parse", "HEAD").strip()
    run.results = folder / config["results_dir"]
    return run


@pytest.fixture(scope="module")
def benchmarks():
    """The module that asv imports."""
    spec = importlib.util.spec_from_file_location("tracked", ROOT / "suite/benchmarks/workloads.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_asv_finds_no_fault_with_the_benchmarks(asv):
    assert "No problems found" in asv("check", "--python=same")


def test_results_hold_the_samples_of_the_engine(asv):
    # A regular expression: two backends on one mix, of which the short form has one lifetime.
    chosen = r"mixed_sizes.*\('(null|glibc):default', 'zipf'"
    asv("run", "--python=same", "--set-commit-hash", asv.commit, "--record-samples", "-a", "rounds=2", "-b", chosen)
    known = json.loads((asv.results / "benchmarks.json").read_text())
    assert {"burst.time_object", "mixed_sizes.time_object", "cross_core_free.time_object"} <= set(known)

    (file,) = asv.results.glob(f"*/{asv.commit[:8]}-*.json")
    saved = json.loads(file.read_text())
    row = dict(zip(saved["result_columns"], saved["results"]["mixed_sizes.time_object"], strict=False))
    assert row["version"] == known["mixed_sizes.time_object"]["version"]
    cells = list(product(*row["params"]))
    figures = dict(zip(cells, row["result"], strict=True))
    samples = dict(zip(cells, row["samples"], strict=True))

    for backend in ("null", "glibc"):
        measured = (f"'{backend}:default'", "'zipf'", "'random'", "32", "0")
        assert len(samples[measured]) == 2  # one a round
        assert min(samples[measured]) <= figures[measured] <= max(samples[measured])
        not_short = (f"'{backend}:default'", "'zipf'", "'oldest'", "32", "0")
        assert math.isnan(figures[not_short])
    floor = samples["'null:default'", "'zipf'", "'random'", "32", "0"]
    assert 0 < min(floor) < min(samples["'glibc:default'", "'zipf'", "'random'", "32", "0"])
    # Seconds an object; and had asv timed a call of Python, it would be longer than this.
    assert max(floor) < 100e-9


def test_what_cannot_run_leaves_an_empty_cell(benchmarks, mutants, monkeypatch):
    monkeypatch.syspath_prepend(mutants)
    cell = {"burst": 32, "touch": 0, "hold": 0, "rx": 1, "tx": 1}
    with pytest.raises(NotImplementedError, match="for at most 1 actor a pool"):
        benchmarks.CrossCoreFree().setup("mutant:alone", *cell.values())


def test_a_backend_that_nobody_knows_is_a_failure(benchmarks):
    with pytest.raises(Exception, match="no backend is called 'nobody'") as raised:
        benchmarks.Burst().setup("nobody", 32, 128, 0, 0, 1)
    assert not isinstance(raised.value, NotImplementedError)


def test_every_backend_of_the_repository_is_tracked(benchmarks):
    owners = {each.backend.label: each.plugin for each in plugins.load().backends}
    tracked = {owners[label] for label in benchmarks.BACKENDS}
    projects = [tomllib.loads(file.read_text())["project"] for file in ROOT.glob("backends/*/pyproject.toml")]
    assert tracked == {plugins.BUILTIN}.union(*(each["entry-points"]["allocmark"] for each in projects))
