# SPDX-License-Identifier: BSD-3-Clause
"""Killed at random moments, run, resume, gate and publish lose nothing but what was in flight."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import started

from allocmark.asv.site_folder import MARKER
from allocmark.results.store import FILE_NAME, Run, read_run
from fixtures import synthetic
from fixtures.simulated import SHAPES

LONG = [pytest.mark.long, pytest.mark.timeout(3600)]
SHORT_AND_LONG = [pytest.param(1, id="short"), pytest.param(25, id="long", marks=LONG)]
CELLS = ["burst", "--short", "--set", "bulk=8", "--set", "keep=128", "-b", "mutant"]
RUN = ["run", *CELLS, "--blocks", "2", "--sample-ms", "1", "--no-latency", "--no-reuse", "--rounds", "5"]
QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

Start = Callable[[], "subprocess.Popen[Any]"]


def killed(start: Start, draw: random.Random, seconds: float) -> bool:
    """Whether what was started was still at work when it was killed, at a random moment of its first seconds."""
    process = start()
    try:
        process.wait(draw.uniform(0, seconds))
    except subprocess.TimeoutExpired:
        process.kill()
    return process.wait(30) == -signal.SIGKILL


def turns(kills: int, turn: Callable[[], int]) -> Iterator[int]:
    """As many turns as it takes until so many kills came in time."""
    for number in itertools.count():
        kills -= turn()
        yield number
        if kills <= 0:
            return


def whole_rounds(file: Path) -> bytes:
    """What must not be lost: all up to the end of the last round, or the header alone."""
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    ends = [number for number, line in enumerate(lines) if b'"type":"case"' in line and line.endswith(b"\n")]
    return b"".join(lines[: ends[-1] + 1] if ends else lines[:1])


@pytest.mark.parametrize("kills", SHORT_AND_LONG)
def test_a_run_and_its_resume(mutants: Path, tmp_path: Path, kills: int) -> None:
    """Each run is killed, then its resume; then it finishes, with every round that was whole before, byte for byte."""
    draw = random.Random(kills)
    folders = (tmp_path / f"run{number}" for number in itertools.count())

    def turn() -> int:
        folder = next(folders)
        file = folder / FILE_NAME

        def resume() -> subprocess.Popen[Any]:
            return started(tmp_path, mutants, "run", "--resume", str(folder), **QUIET)

        hit = killed(lambda: started(tmp_path, mutants, *RUN, "-o", str(folder), **QUIET), draw, 4)
        first = whole_rounds(file)
        if not first:
            return hit  # killed while it planned
        hit += killed(resume, draw, 4)
        second = whole_rounds(file)
        assert second.startswith(first)
        assert resume().wait(60) == 0
        assert file.read_bytes().startswith(second)
        assert_finished(read_run(folder))
        return hit

    assert list(turns(2 * kills, turn))


def assert_finished(run: Run) -> None:
    assert run.damage == {}
    assert run.end
    assert [each.round for each in run.rounds[0]] == [0, 1, 2, 3, 4]


def journals(repository: Path) -> dict[str, list[bytes]]:
    """The whole lines of each of a repository's gates, in progress or finished, by the time of its first round."""
    state = repository / ".allocmark"
    found = {}
    for file in [*state.glob("gates/*.jsonl"), *state.glob("finished/gate-*.jsonl")]:
        lines = whole_lines(file)
        if len(lines) > 1:
            found[str(lines[1])] = lines
    return found


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_gate(history: SimpleNamespace, tmp_path: Path) -> None:
    """A gate that goes on again and again, sometimes with so little time left that it comes to its end."""
    repository = tmp_path / "repository"
    shutil.copytree(history.folder, repository)
    draw = random.Random(3)
    spent = 0.0

    def gate() -> subprocess.Popen[Any]:
        minutes = (spent + 2) / 60 if draw.random() < 0.3 else 50
        asked = [history.fast, history.remark, history.workload, "--limit", "0.1", "--budget", f"{minutes:.5f}"]
        return started(repository, Path(), "track", "gate", *asked, **QUIET)

    def until_a_round() -> float:
        lines = sum(map(len, journals(repository).values()))
        begun = time.monotonic()
        process = gate()
        while sum(map(len, journals(repository).values())) <= lines and process.poll() is None:
            time.sleep(0.05)
        process.kill()
        process.wait(30)
        return time.monotonic() - begun

    until_a_round()  # builds both sides
    window = 2 * until_a_round()  # on a slow machine kills before the first round would show nothing
    known = journals(repository)
    for _ in turns(25, lambda: killed(gate, draw, window)):
        now = journals(repository)
        for first, lines in known.items():
            assert now[first][: len(lines)] == lines
        known = now
        going = [json.loads(line) for file in repository.glob(".allocmark/gates/*.jsonl") for line in whole_lines(file)]
        spent = sum(record.get("seconds", 0) for record in going)
    assert sum(len(lines) for lines in known.values()) > 25


def whole_lines(file: Path) -> list[bytes]:
    return [line for line in file.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


THEIRS = {"robots.txt": b"x", "backend/mine.html": b"y", ".git/HEAD": b"ref", "CNAME": b"example.org"}
DATED = ("info.json", "regressions.json", "regressions.xml", MARKER)  # they say when they were written


def files_in(folder: Path) -> dict[str, bytes]:
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in files.items() if not name.startswith(".allocmark")}


def asv_of(publishing: subprocess.Popen[Any]) -> bool:
    """Whether its asv is at work."""
    with suppress(OSError):  # one that has just ended
        children = Path(f"/proc/{publishing.pid}/task/{publishing.pid}/children").read_text().split()
        return any(b"\0asv\0publish\0" in Path(f"/proc/{child}/cmdline").read_bytes() for child in children)
    return False


def test_publish_while_the_asv_of_a_killed_one_is_still_at_work(tmp_path: Path) -> None:
    project = tmp_path / "project"
    synthetic.project(project, 3)

    def publish() -> subprocess.Popen[Any]:
        return started(project, Path(), "publish", "-o", "site", **QUIET)

    first = publish()
    while not asv_of(first):
        assert first.poll() is None
        time.sleep(0.01)
    first.kill()
    assert first.wait() == -signal.SIGKILL
    assert publish().wait(60) == 0
    assert (project / "site/asv.html").is_file()
    assert not (project / "site/.allocmark-new").exists()


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_publish(simulate: Callable[..., Run], tmp_path: Path) -> None:
    """Two sites in turns in one folder: what people put there stays, each page is whole, and the next call repairs."""
    draw = random.Random(4)
    project = tmp_path / "project"
    synthetic.project(project, 3)
    runs = [simulate(shapes=SHAPES[:cases]).path for cases in (3, 6)]

    def publish(number: int, folder: str) -> subprocess.Popen[Any]:
        return started(project, Path(), "publish", "-o", folder, str(runs[number]), **QUIET)

    sites = []
    for number in (0, 1):
        assert publish(number, f"whole{number}").wait(60) == 0
        sites.append(files_in(project / f"whole{number}"))
    site = project / "site"
    shutil.copytree(project / "whole0", site)
    for name, content in THEIRS.items():
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_bytes(content)
    for turn in turns(25, lambda: killed(lambda: publish(draw.randrange(2), "site"), draw, 4)):
        found = files_in(site)
        assert found.items() >= THEIRS.items()
        for name in set(found) - {*THEIRS, *DATED}:
            assert found[name] in [each.get(name) for each in sites], name
        if turn % 3 == 0:
            new = draw.randrange(2)
            assert publish(new, "site").wait(60) == 0
            assert set(files_in(site)) == {*sites[new], *THEIRS}
            assert not (site / ".allocmark-new").exists()
