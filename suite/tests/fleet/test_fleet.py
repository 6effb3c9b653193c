# SPDX-License-Identifier: BSD-3-Clause
"""Fleets on loopback: a real scheduler of Dask, real workers, real runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import assert_refused, setting

import allocmark
from allocmark.results.store import read_run

Command = Callable[..., "subprocess.CompletedProcess[str]"]

CASES = ["burst", *setting(keep=128, touch=0, off_ns=0, cores=1, cache=256, alive=0)]
QUICK = ["-b", "glibc", "-b", "glibc:no_tcache", "--rounds", "2", "--blocks", "2", "--sample-ms", "1"]


class Loopback:
    """A scheduler and its workers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        contact = folder / "scheduler.json"
        contact.unlink(missing_ok=True)
        options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(contact)]
        self._scheduler = self._start([sys.executable, "-m", "distributed.cli.dask_scheduler", *options])
        while not contact.exists() or not contact.read_text():
            assert self._scheduler.poll() is None
            time.sleep(0.05)
        self.address: str = json.loads(contact.read_text())["address"]

    def add(self, name: str, path: Path | None = None) -> subprocess.Popen[bytes]:
        """A worker; ``path`` holds another allocmark for it."""
        command = [sys.executable, "-m", "allocmark", "fleet", "worker", self.address, "--name", name]
        self.workers[name] = self._start(command, path)
        return self.workers[name]

    def end(self) -> None:
        for process in [*self.workers.values(), self._scheduler]:
            process.kill()
            process.wait()

    def _start(self, command: list[str], path: Path | None = None) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(path or "")}
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(command, cwd=self._folder, env=environment, stdout=log, stderr=log)


@pytest.fixture
def loopback(tmp_path: Path) -> Iterator[Loopback]:
    folder = tmp_path / "loopback"
    folder.mkdir()
    found = Loopback(folder)
    try:
        yield found
    finally:
        found.end()


@pytest.fixture
def fleet(loopback: Loopback, allocmark_command: Command) -> Command:
    """``allocmark fleet run`` once so many workers are there."""

    def run(*arguments: str, workers: int = 2) -> subprocess.CompletedProcess[str]:
        wait_for(loopback, workers)
        return allocmark_command("fleet", "run", "--scheduler", loopback.address, *arguments)

    return run


def wait_for(loopback: Loopback, workers: int) -> None:
    code = "import sys, distributed; distributed.Client(sys.argv[1]).wait_for_workers(int(sys.argv[2]), timeout=60)"
    if workers:
        subprocess.run([sys.executable, "-c", code, loopback.address, str(workers)], check=True, timeout=90)


def runs(folder: Path) -> dict[str, list[str]]:
    """Titles of what is home, by machine."""
    found: dict[str, list[str]] = {}
    for file in sorted(folder.glob("*/*/run.jsonl")):
        run = read_run(file)
        assert not run.damage
        found.setdefault(file.parent.parent.name, []).append(run.header.plan[0].title)
    return found


def test_machines_of_a_kind_share_the_cases(
    loopback: Loopback, fleet: Command, allocmark_command: Command, tmp_path: Path
) -> None:
    loopback.add("first")
    loopback.add("second")
    result = fleet(*CASES, *setting(bulk="8,32,128"), *QUICK, "-o", "here")
    assert result.returncode == 0, result.stderr
    home = runs(tmp_path / "here")
    assert set(home) == {"first", "second"}
    assert len({title for titles in home.values() for title in titles}) == 3
    assert sum(map(len, home.values())) == 3
    assert "(first, second)" in result.stdout
    assert result.stdout.count("glibc:no_tcache") == 3
    again = allocmark_command("fleet", "show", "here")
    assert again.stdout.strip()
    assert again.stdout in result.stdout
    document = json.loads(allocmark_command("fleet", "show", "here", "--json").stdout)
    assert {each["kind"] for each in document["ratios"]} == {document["machines"]["first"]["kind"]}
    page = allocmark_command("report", "here")
    assert (page.returncode, page.stdout) == (0, "report: here/report.html\n"), page.stderr
    assert "glibc:<wbr>no_tcache" in (tmp_path / "here" / "report.html").read_text()
    # What came home is a run like any other.
    assert allocmark_command("show", next((tmp_path / "here" / "first").iterdir())).returncode == 0
    # One that is gone is measured again, and nothing else.
    shutil.rmtree(next((tmp_path / "here" / "second").iterdir()))
    kept = {file: file.read_bytes() for file in (tmp_path / "here").glob("*/*/run.jsonl")}
    assert len(kept) == 2
    assert fleet("--resume", "here").returncode == 0
    assert {file: file.read_bytes() for file in kept} == kept
    assert sum(map(len, runs(tmp_path / "here").values())) == 3


@pytest.mark.long
def test_each_machine_has_a_column(loopback: Loopback, fleet: Command, tmp_path: Path) -> None:
    loopback.add("first")
    loopback.add("second")
    result = fleet(*CASES, *setting(bulk=8), *QUICK, "--each", "-o", "here")
    assert result.returncode == 0, result.stderr
    assert {name: len(titles) for name, titles in runs(tmp_path / "here").items()} == {"first": 1, "second": 1}
    assert "cannot tell on all 2" in result.stdout  # two rounds decide nothing
    assert "A: first\nB: second\n" in result.stdout


def measuring(loopback: Loopback, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """``allocmark fleet run`` into ``here``, once it has handed out cases."""
    wait_for(loopback, len(loopback.workers))
    command = [sys.executable, "-m", "allocmark", "fleet", "run", "--scheduler", loopback.address, "-o", "here"]
    rounds = ["--rounds", "2", "--blocks", "40", "--sample-ms", "4"]
    process = subprocess.Popen(
        [*command, *CASES, *setting(bulk="8,32"), "-b", "glibc", *rounds, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (folder / "here" / "fleet.json").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return process


def test_a_killed_machine_costs_the_case_in_flight_which_another_measures(loopback: Loopback, tmp_path: Path) -> None:
    doomed = loopback.add("doomed")
    loopback.add("other")
    process = measuring(loopback, tmp_path)
    doomed.kill()
    doomed.wait()
    _, err = process.communicate(timeout=120)
    assert "doomed is lost (its worker ended), and with it burst" in err
    assert process.returncode == 0, err
    assert len(runs(tmp_path / "here")["other"]) == 2
    # What it had started has ended with it.
    left = subprocess.run(["pgrep", "-f", f"fleet.duty {doomed.pid}$"], capture_output=True, text=True)
    assert left.stdout == ""


def test_a_scheduler_that_ends_is_told_and_the_rest_is_measured_later(
    loopback: Loopback, allocmark_command: Command, tmp_path: Path
) -> None:
    loopback.add("only")
    process = measuring(loopback, tmp_path)
    loopback.end()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    assert "Traceback" not in err
    assert "the scheduler of Dask ended" in err
    assert "--resume" in err
    later = Loopback(tmp_path / "loopback")
    try:
        later.add("only")
        wait_for(later, 1)
        done = allocmark_command("fleet", "run", "--scheduler", later.address, "--resume", "here")
        assert done.returncode == 0, done.stderr
        assert len(runs(tmp_path / "here")["only"]) == 2
    finally:
        later.end()


@pytest.mark.long
def test_a_machine_that_is_too_slow_is_given_up(loopback: Loopback, tmp_path: Path) -> None:
    loopback.add("good")
    slow = loopback.add("slow")
    process = measuring(loopback, tmp_path, "--limit", "60s")
    os.kill(slow.pid, signal.SIGSTOP)
    _, err = process.communicate(timeout=280)
    os.kill(slow.pid, signal.SIGCONT)
    assert "slow is lost (did not answer for 60 s)" in err
    assert process.returncode == 0, err
    assert len(runs(tmp_path / "here")["good"]) == 2


def test_other_versions_are_refused(loopback: Loopback, fleet: Command, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(Path(allocmark.__file__).parent, other / "allocmark")
    code = other / "allocmark" / "__init__.py"
    text = code.read_text()
    assert f'"{allocmark.__version__}"' in text
    code.write_text(text.replace(f'"{allocmark.__version__}"', '"0.0.9"'))
    loopback.add("new")
    loopback.add("old", other)
    result = fleet(*CASES, *setting(bulk=8), *QUICK, "-o", "here")
    assert_refused(result, "old has allocmark 0.0.9", f"here is allocmark {allocmark.__version__}", "install the same")
    assert not (tmp_path / "here").exists()


def test_a_case_that_fails_on_a_machine_is_told(loopback: Loopback, fleet: Command, tmp_path: Path) -> None:
    loopback.add("only")
    result = fleet(*CASES, *setting(bulk=8), "-b", "nonsense", "-o", "here", workers=1)
    assert result.returncode == 2
    assert "only is left out: no backend is called 'nonsense'" in result.stderr
    assert not (tmp_path / "here").exists()


def test_groups_and_libraries_are_asked_for_as_in_a_run(loopback: Loopback, fleet: Command, tmp_path: Path) -> None:
    loopback.add("only")
    brief = ["--rounds", "1", "--blocks", "1", "--sample-ms", "1"]
    result = fleet(*CASES, *setting(bulk=8), "--for", "pools", *brief, "-o", "here", workers=1)
    assert result.returncode == 0, result.stderr
    (file,) = (tmp_path / "here").glob("*/*/run.jsonl")
    backends = {cell.backend for cell in read_run(file).header.plan[0].cells}
    assert "turbomem" in backends
    assert "glibc" not in backends
    assert_refused(
        fleet(*CASES, "--prefix", "je_", workers=1), "--prefix je_: belongs to a library named with -b so:PATH"
    )


def test_without_workers_it_says_how_to_start_one(fleet: Command) -> None:
    assert_refused(fleet(*CASES, *QUICK, workers=0), "has no workers", "allocmark fleet worker ADDRESS")


def test_without_a_scheduler(allocmark_command: Command) -> None:
    result = allocmark_command("fleet", "run", "--scheduler", "tcp://127.0.0.1:1", *CASES, *QUICK)
    assert_refused(result, "no scheduler of Dask answers there")


def test_a_worker_needs_an_address(allocmark_command: Command) -> None:
    for wrong in ("nowhere", "tcp://nowhere", "nowhere:8786"):
        assert_refused(allocmark_command("fleet", "worker", wrong), f"{wrong}: expected the address")


def test_a_folder_that_is_none(allocmark_command: Command, tmp_path: Path) -> None:
    assert_refused(allocmark_command("fleet", "show", "nowhere"), "nowhere: not the folder of a fleet")
    for damaged in ("{}", "[" * 100_000):
        (tmp_path / "fleet.json").write_text(damaged)
        assert_refused(allocmark_command("fleet", "show", "."), "fleet.json: damaged")
