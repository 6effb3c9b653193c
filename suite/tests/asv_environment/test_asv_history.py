# SPDX-License-Identifier: BSD-3-Clause
"""asv over real commits of a backend: today's harness, the allocators of the commit, and what a commit lacks."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("asv")
# Minutes on two busy cores: an environment, the harness, 40 installations.
pytestmark = pytest.mark.timeout(1800)

ROOT = Path(__file__).parents[3]
FREELIST = "'freelist:default'"
FLOOR = "'null:default'"
BACKENDS = 'BACKENDS = {"null:default": "allocmark", "freelist:default": "allocmark-freelist"}'


class Asv:
    """The repository's configuration and benchmarks, on another history, with its one workload and its backend."""

    def __init__(self, folder: Path, history: SimpleNamespace) -> None:
        self.folder = folder
        self.history = history
        needed = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "suite/allocmark", "suite/asv_environment")
        for name in needed:
            link = folder / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(ROOT / name)
        for file in (ROOT / "suite" / "benchmarks").glob("*.py"):
            self._copy(file.relative_to(ROOT), r"(?s)BACKENDS = \{.*?\n\}", BACKENDS)
        (folder / "workloads").mkdir()
        (folder / "workloads" / "one_by_one.yaml").write_text(Path(history.workload).read_text())
        self._copy(Path("asv.conf.json"), r'"repo": "."', f'"repo": "{history.folder}"')
        # Most of the time goes into compiling the harness. Its own -O3 comes after what CFLAGS says.
        self.compilers = {name: self._without_optimising(name, found) for name, found in (("CC", "cc"), ("CXX", "c++"))}
        self.run("machine", "--yes")

    def _copy(self, name: Path, pattern: str, replacement: str) -> None:
        target = self.folder / name
        target.parent.mkdir(exist_ok=True)
        target.write_text(re.sub(pattern, replacement, (ROOT / name).read_text()))

    def _without_optimising(self, name: str, compiler: str) -> str:
        script = self.folder / name
        script.write_text(f'#!/bin/sh\nexec {os.environ.get(name, compiler)} "$@" -O0\n')
        script.chmod(0o755)
        return str(script)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """``asv ARGUMENTS``, in a case of its own; asv keeps what it knows of the machine in the folder, too."""
        return subprocess.Popen(
            [sys.executable, "-m", "asv", *arguments],
            cwd=self.folder,
            # Nobody debugs what is built here: without its symbols that takes a fifth less time.
            env={**os.environ, "HOME": str(self.folder), "CFLAGS": "-g0", **self.compilers},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, status: int = 0) -> str:
        """What it says."""
        with self.start(*arguments) as running:
            said, _ = running.communicate(timeout=1500)
        assert running.returncode == status, said
        return said

    def file(self, commit: str) -> Path:
        (file,) = (self.folder / ".asv" / "results").glob(f"*/{commit[:8]}-*.json")
        return file

    def rows(self, commit: str, name: str) -> dict[str, dict[str, object]]:
        """By backend, the members of a commit's row."""
        saved = json.loads(self.file(commit).read_text())
        row = dict(zip(saved["result_columns"], saved["results"][name], strict=False))
        (backends,) = row["params"]
        columns = ("result", "samples")
        return {
            backend: {key: row[key][i] if row.get(key) else None for key in columns}
            for i, backend in enumerate(backends)
        }

    def time(self, commit: str, backend: str) -> float | None:
        return self.rows(commit, "one_by_one.time_object")[backend]["result"]


@pytest.fixture(scope="module")
def asv(history, tmp_path_factory) -> Asv:
    """After ``asv run`` over four commits, two samples a cell."""
    made = Asv(tmp_path_factory.mktemp("asv"), history)
    commits = made.folder / "commits"
    commits.write_text("\n".join([history.nothing, history.fast, history.broken, history.slow]))
    # Two, as something failed: the commit that does not build.
    made.said = made.run("run", f"HASHFILE:{commits}", "--record-samples", "--show-stderr", "-a", "rounds=2", status=2)
    return made


def test_the_slower_commit_is_slower_and_the_floor_is_not(asv, history):
    fast, slow = (asv.rows(commit, "one_by_one.time_object")[FREELIST] for commit in (history.fast, history.slow))
    assert min(slow["samples"]) > 1.3 * min(fast["samples"])  # twice the work was planted
    assert len(fast["samples"]) == 2  # one a round
    floors = [asv.time(commit, FLOOR) for commit in (history.nothing, history.fast, history.broken, history.slow)]
    assert all(0 < floor < fast["result"] for floor in floors)


def test_a_commit_without_the_backend_leaves_its_cell_empty_with_the_reason(asv, history):
    assert math.isnan(asv.time(history.nothing, FREELIST))
    assert f"allocmark-freelist is not in commit {history.nothing[:8]}" in asv.said


def test_a_commit_that_does_not_build_fails_in_its_cell_alone_and_says_why(asv, history):
    assert asv.time(history.broken, FREELIST) is None
    assert f"allocmark-freelist of commit {history.broken[:8]} does not build: src/freelist.c:" in asv.said
    assert "this is not C" in asv.said  # the end of the log
    kept = json.loads((asv.folder / ".asv" / "builds" / "commits" / f"{history.broken}.json").read_text())
    (backend,) = kept["backends"]
    assert "error" in backend["reason"]
    assert backend["wheel"] is None


def test_bytes_and_pages_are_tracked_beside_time(asv, history):
    bytes_, pages = (
        asv.rows(history.fast, f"one_by_one.{name}")[FREELIST]["result"]
        for name in ("track_bytes_an_object", "track_pages_2m")
    )
    assert 64 <= bytes_ < 96  # objects of 64 bytes
    assert pages == 1  # the same object again and again


def test_the_full_set_runs_only_when_it_is_named(asv, history):
    assert "full.one_by_one.time_object" in json.loads(
        asv.file(history.fast).parents[1].joinpath("benchmarks.json").read_text()
    )
    assert "full.one_by_one.time_object" not in asv.file(history.fast).read_text()
    one = f"{history.fast}^!"
    assert "full" not in asv.run("run", one, "--dry-run", "--bench", "one_by_one.time", "-a", "rounds=1")
    assert "full.one_by_one.time_object" in asv.run("run", one, "--dry-run", "--bench", "full", "-a", "rounds=1")


def test_what_is_measured_is_not_measured_again(asv, history):
    before = {commit: asv.file(commit).read_bytes() for commit in (history.fast, history.slow)}
    asv.run("run", f"HASHFILE:{asv.folder / 'commits'}", "--record-samples", "--skip-existing")
    assert before == {commit: asv.file(commit).read_bytes() for commit in before}


@pytest.mark.long
def test_continuous_finds_twice_the_work_and_nothing_in_a_remark(asv, history):
    cells = ("--bench", "^one_by_one.time.*freelist", "--factor", "1.1")
    asv.run("continuous", history.remark, history.fast, *cells)
    assert re.search(r"\+.*freelist", asv.run("continuous", history.fast, history.slow, *cells, status=1))


@pytest.mark.long
def test_a_tenth_more_work_is_attributed_to_its_commit(asv, history):
    made = history.made
    made.git("checkout", "-q", "-b", "tenth", history.fast)
    commits = []
    for work, remark in ((400, "one"), (400, "two"), (440, "three"), (440, "four")):
        made.backend(work, remark)
        commits.append(made.commit(remark))
    made.git("checkout", "-q", "main")
    (asv.folder / "tenth").write_text("\n".join(commits))
    asv.run(
        *("run", f"HASHFILE:{asv.folder / 'tenth'}", "--record-samples", "--interleave-rounds"),
        *("--bench", "^one_by_one.time.*freelist"),
    )
    before, two, three, after = (asv.time(commit, FREELIST) for commit in commits)
    assert three / two > 1.05
    assert max(two / before, before / two, after / three, three / after) < 1.05
    said = asv.run("compare", commits[1], commits[2], "--factor", "1.03", "--only-changed")
    assert re.search(r"\+.*freelist", said)


@pytest.mark.long
def test_a_killed_run_goes_on_where_it_was(asv, history):
    commits = [history.remark, history.repaired]
    (asv.folder / "killed").write_text("\n".join(commits))
    arguments = ("run", f"HASHFILE:{asv.folder / 'killed'}", "--record-samples", "--bench", "one_by_one.time")
    results = asv.folder / ".asv" / "results"
    with asv.start(*arguments) as running:
        while not (first := [commit for commit in commits if list(results.glob(f"*/{commit[:8]}-*.json"))]):
            assert running.poll() is None
            time.sleep(0.1)
        os.killpg(running.pid, signal.SIGKILL)
    assert len(first) == 1  # what it was at is lost
    kept = asv.file(first[0]).read_bytes()
    asv.run(*arguments, "--skip-existing")
    assert all(asv.time(commit, FREELIST) > 0 for commit in commits)
    assert asv.file(first[0]).read_bytes() == kept


@pytest.mark.long
def test_an_edited_harness_is_installed_before_the_next_sample(asv, history):
    one = ("run", f"{history.slow}^!", "--bench", "one_by_one.time", "-a", "rounds=1")
    asv.run(*one)
    assert "Installing" not in asv.run(*one)
    with (asv.folder / "workloads" / "one_by_one.yaml").open("a") as workload:
        workload.write("# edited\n")
    assert "Installing" in asv.run(*one)
    assert asv.time(history.slow, FREELIST) > 0  # the benchmarks found the harness that they ask for
