# SPDX-License-Identifier: BSD-3-Clause
"""The run file: what is written is what is read, whatever happens to the process or to the file."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from allocmark.errors import RunFileError, UsageError
from allocmark.results.store import FILE_NAME, RunWriter, fresh_folder, newest_run, read_run
from fixtures.simulated import edit_run
from fixtures.small_rounds import case, header


def written(folder: Path, cases: int = 3, ended: bool = True) -> Path:
    with RunWriter.create(folder, header()) as writer:
        for index in range(cases):
            writer.write_round(case(index))
        if ended:
            writer.end(9.0, 8.0, interrupted=False)
    return folder / FILE_NAME


def in_file(writer: RunWriter) -> set[int]:
    """The cases that have rounds."""
    return {index for index in range(3) if writer.rounds_of(index)}


def edited(folder: Path, edit: Callable[[list[Any]], None]) -> Path:
    """A whole run, its lines changed by ``edit``; see `edit_run`."""
    file = written(folder)
    edit_run(file, edit)
    return file


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written(tmp_path / "new" / "run")
    run = read_run(tmp_path / "new" / "run")
    assert run.header == header()
    assert run.cases == (case(0), case(1), case(2))
    assert run.end is not None
    assert (run.end.seconds, run.end.measured_seconds, run.end.interrupted) == (9.0, 8.0, False)
    assert run.damage == {}
    assert read_run(run.path) == run


def test_cases_are_read_in_the_order_of_the_plan(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, header()) as writer:
        writer.write_round(case(2))
        swapped = case(0)
        writer.write_round(replace(swapped, cells=swapped.cells[::-1]))
    assert read_run(tmp_path).cases == (case(0), case(2))


def test_each_of_several_runs_begun_at_once_has_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="there is no run in runs/: name a run file"):
        newest_run()
    with ThreadPoolExecutor(8) as threads:
        folders = list(threads.map(lambda _: fresh_folder(), range(40)))
    assert len(set(folders)) == 40
    for number, folder in enumerate(folders[:3]):
        os.utime(written(folder), (number % 2 + 1000, number % 2 + 1000))
    assert newest_run() == folders[1] / FILE_NAME


def test_a_run_is_never_overwritten(tmp_path: Path) -> None:
    before = written(tmp_path).read_bytes()
    with pytest.raises(RunFileError, match=r"run\.jsonl: exists already: resume"):
        RunWriter.create(tmp_path, header())
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFileError, match="cannot be written: Not a directory"):
        RunWriter.create(tmp_path / "file" / "run", header())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"samples": [1.0, float("nan")] * 3}, "JSON"),
        ({"samples": [1.0, 0.0] * 3}, "samples[1]: expected a number >= 0.001"),
        ({"objects": -1}, "objects: expected a whole number >= 0"),
        ({"blocks": [0]}, '"blocks" has 1 entries for 6 samples'),
        ({"blocks": [0, 0, 1, 1, 2, 3]}, "glibc:default has block 3 of 3"),
        ({"disturbed": {6: ["steal"]}}, '"disturbed" names sample 6 of 6'),
        ({"variant": "other"}, "glibc:other of burst is not planned in case 0"),
        ({"status": "fine"}, "status: expected ok|failed|unavailable"),
        ({"probes": {"rss": object()}}, "JSON"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    first = case(0)
    bad = replace(first, cells=(first.cells[0], replace(first.cells[1], **change)))
    with RunWriter.create(tmp_path, header()) as writer:
        before = writer.path.read_bytes()
        with pytest.raises(RunFileError, match="case 0: ") as caught:
            writer.write_round(bad)
        assert said in str(caught.value)
        assert writer.path.read_bytes() == before
        writer.write_round(first)
        with pytest.raises(RunFileError, match="round 0 of case 0 is there already"):
            writer.write_round(first)
    assert read_run(tmp_path).cases == (first,)


def test_a_full_disk_leaves_whole_rounds(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, header()) as writer:
        writer.write_round(case(0))
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        # Room for half a case: the first write is short, the second fails.
        resource.setrlimit(resource.RLIMIT_FSIZE, (writer.path.stat().st_size + 300, limits[1]))
        try:
            with pytest.raises(RunFileError, match="cannot be written: File too large"):
                writer.write_round(case(1))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert read_run(tmp_path).damage == {}
        writer.write_round(case(1))
    assert read_run(tmp_path).cases == (case(0), case(1))


# A tail that was cut off


def test_cut_off_anywhere_leaves_whole_rounds_and_can_be_resumed(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole").read_bytes()
    first = whole.index(b"\n") + 1
    ends = [i + 1 for i in range(len(whole)) if whole[i : i + 1] == b"\n"]
    closed = [end for end in ends if b'"type":"case"' in whole[:end].splitlines()[-1]]
    for cut in {*range(first, len(whole), 37), *ends, *(end - 1 for end in ends if end > first)}:
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / FILE_NAME).write_bytes(whole[:cut])
        run = read_run(folder)
        complete = sum(end <= cut for end in closed)
        assert run.cases == tuple(case(index) for index in range(complete))
        at_rest = cut in (first, *closed, len(whole))
        assert (run.damage == {}) == at_rest
        if run.damage:
            lines_before = whole[: max([first, *(end for end in closed if end <= cut)])].count(b"\n")
            assert run.damage == {lines_before + 1: "cut off here"}
        with RunWriter.resume(folder) as writer:
            assert in_file(writer) == set(range(complete))
            assert writer.header == header()
            for index in range(complete, 3):
                writer.write_round(case(index))
            writer.end(9.0, 8.0, interrupted=False)
        again = (folder / FILE_NAME).read_bytes()
        assert again.splitlines()[:-1] == whole.splitlines()[:-1]
        before = [case(index) for index in range(complete)]  # their time is added up
        end = read_run(folder).end
        assert end is not None
        assert end.seconds == pytest.approx(9.0 + sum(each.seconds for each in before))
        assert end.measured_seconds == pytest.approx(8.0 + sum(each.measured_seconds for each in before))


def test_a_case_that_was_cut_short_is_read_and_measured_again(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, header()) as writer:
        writer.write_round(case(0))
        writer.write_round(replace(case(1), cut_short=True))
        writer.end(9.0, 8.0, interrupted=True)
    assert [each.cut_short for each in read_run(tmp_path).cases] == [False, True]
    with RunWriter.resume(tmp_path) as writer:
        assert in_file(writer) == {0}
        writer.write_round(case(1))
    assert [each.cut_short for each in read_run(tmp_path).cases] == [False, False]


def test_resuming_drops_the_end(tmp_path: Path) -> None:
    written(tmp_path, cases=2)
    with RunWriter.resume(tmp_path) as writer:
        writer.write_round(case(2))
    run = read_run(tmp_path)
    assert (len(run.cases), run.end) == (3, None)


def test_two_processes_never_write_one_run(tmp_path: Path) -> None:
    with (
        RunWriter.create(tmp_path, header()),
        pytest.raises(RunFileError, match="another process is writing"),
    ):
        RunWriter.resume(tmp_path)
    RunWriter.resume(tmp_path).close()


@pytest.mark.parametrize("tail", [b"\0" * 100, b'{"type":"ce', b"\xff\xfe\n", b"{}]\n", b"[1]\n"])
def test_rubbish_at_the_end_is_a_torn_tail(tmp_path: Path, tail: bytes) -> None:
    file = written(tmp_path, ended=False)
    lines = file.read_bytes().count(b"\n")
    file.write_bytes(file.read_bytes() + tail)
    run = read_run(tmp_path)
    assert (len(run.cases), [*run.damage]) == (3, [lines + 1])


WRITER = """
import sys
sys.path.insert(0, {suite!r})
from allocmark.results.store import RunWriter
from fixtures.small_rounds import case, header
with RunWriter.create({folder!r}, header(400)) as writer:
    print("ready", flush=True)
    for index in range(400):
        writer.write_round(case(index, samples=200))
"""


def test_killed_at_any_moment_it_leaves_whole_rounds(tmp_path: Path) -> None:
    rng = random.Random(11)
    counts = []
    for attempt in range(12):
        folder = tmp_path / str(attempt)
        program = WRITER.format(suite=str(Path(__file__).parents[2]), folder=str(folder))
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(rng.uniform(0, 0.15))
            process.send_signal(signal.SIGKILL)
            process.wait()
        run = read_run(folder)
        assert run.cases == tuple(case(index, samples=200) for index in range(len(run.cases)))
        counts.append(len(run.cases))
        with RunWriter.resume(folder) as writer:
            writer.write_round(case(len(run.cases), samples=200))
        assert len(read_run(folder).cases) == len(run.cases) + 1
    # Else nothing was interrupted, or nothing was under way.
    assert any(0 < count < 400 for count in counts)


# Bad files: one line that says where, what and what to do


def refused(path: Path) -> str:
    with pytest.raises(RunFileError) as caught:
        read_run(path)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_newest_run_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "runs" / "one")
    for name in ("link", "pipe", "folder"):
        (tmp_path / "runs" / name).mkdir()
    (tmp_path / "runs" / "link" / FILE_NAME).symlink_to("nowhere")
    os.mkfifo(tmp_path / "runs" / "pipe" / FILE_NAME)
    (tmp_path / "runs" / "folder" / FILE_NAME).mkdir()
    monkeypatch.chdir(tmp_path)
    assert newest_run().absolute() == file


def test_what_is_not_there(tmp_path: Path) -> None:
    assert refused(tmp_path / "no") == f"{tmp_path}/no: not found: give a run's folder or its run.jsonl"
    assert refused(tmp_path) == f"{tmp_path}: a folder without a run.jsonl: give the folder of a run"
    os.mkfifo(tmp_path / FILE_NAME)
    assert "not a regular file" in refused(tmp_path)


@pytest.mark.parametrize("content", [b"[]\n", b"hello\n", b"\x7fELF\0\0", b'{"format": 1, "cells": []}\n', b"\n", b"{"])
def test_what_is_not_a_run_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "some.json"
    file.write_bytes(content)
    assert refused(file) == f"{file}: not a run file of allocmark: give a run's folder or its run.jsonl"


def test_a_run_file_of_which_nothing_was_written(tmp_path: Path) -> None:
    file = written(tmp_path)
    start = file.read_bytes()[:60]
    file.write_bytes(start)
    assert refused(file) == f"{file}:1: the first line is cut off, nothing was measured: remove it and run again"
    file.write_bytes(b"")
    assert refused(file) == f"{file}: empty, nothing was measured: remove it and run again"


def test_a_file_of_the_first_format_is_read() -> None:
    """It called a case a group."""
    run = read_run(Path(__file__).with_name("data") / "format1.jsonl")
    assert [case.title for case in run.header.plan] == [
        f"burst bulk={bulk} keep=128 touch=0 off_ns=0 cores=1 cache=256" for bulk in (1, 32)
    ]
    assert [[cell.label for cell in case.cells] for case in run.cases] == [
        ["null:default", "glibc:default", "glibc:no_tcache"]
    ] * 2
    assert all(len(cell.samples) == 9 for case in run.cases for cell in case.cells)


def test_a_newer_format(tmp_path: Path) -> None:
    file = edited(tmp_path, lambda lines: lines[0].update(format=4))
    assert refused(file) == f"{file}:1: format 4 is newer than this allocmark reads (3): update allocmark"


def test_members_that_are_not_known_are_left_alone(tmp_path: Path) -> None:
    file = edited(tmp_path, lambda lines: [line.update(new=1) for line in lines] and None)
    assert read_run(file).cases == (case(0), case(1), case(2))


def told(path: Path) -> dict[int, str]:
    """What the reader says of each damaged line. Every figure that it does give is the one that was written."""
    run = read_run(path)
    assert all("\n" not in note and note.startswith(f"{path}:") for note in run.notes)
    for found in run.cases:
        whole = case(found.case)
        assert all(cell in whole.cells for cell in found.cells)
        assert run.is_whole(found) == (found == whole)
    return dict(run.damage)


def test_a_line_that_is_cut_in_the_middle_costs_its_cell(tmp_path: Path) -> None:
    file = written(tmp_path)
    lines = file.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:40] + b"\n"
    file.write_bytes(b"".join(lines))
    ((line, what),) = told(file).items()
    assert (line, what[:10]) == (3, "not JSON (")
    assert [len(found.cells) for found in read_run(file).cases] == [1, 2, 2]


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    whole = written(tmp_path).read_bytes()
    lines = whole.count(b"\n")
    rng = random.Random(3)
    for _ in range(300):
        at = rng.randrange(whole.index(b"\n") + 1, len(whole) - 1)
        bad = bytearray(whole)
        bad[at] ^= 1 << rng.randrange(8)
        (tmp_path / FILE_NAME).write_bytes(bad)
        damaged = told(tmp_path / FILE_NAME)
        assert damaged
        assert min(damaged) <= 1 + whole[:at].count(b"\n") <= lines


@pytest.mark.parametrize(
    ("gone", "damaged"),
    [
        ([1], {3: "round 0 of case 0 lacks null:default"}),
        ([2], {3: "round 0 of case 0 lacks glibc:default"}),
        ([4, 5, 6], {8: "the end of the run, but there is no usable record of burst burst=2"}),
        ([4, 5], {5: "round 0 of case 1 lacks null:default, glibc:default"}),
        ([3], {2: "null:default of case 0: the line of its case is missing"}),
        ([7, 8, 9, 10], {}),  # as after a kill
    ],
)
def test_what_was_deleted_is_missed_and_measured_again(
    tmp_path: Path, gone: list[int], damaged: dict[int, str]
) -> None:
    file = written(tmp_path)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(line for number, line in enumerate(lines) if number not in gone))
    found = told(file)
    assert {number: found.get(number) for number in damaged} == damaged
    with RunWriter.resume(tmp_path) as writer:
        missing = sorted({0, 1, 2} - in_file(writer))
        assert missing == sorted({(number - 1) // 3 for number in gone if number < 10})
        for index in missing:
            writer.write_round(case(index))
        writer.end(1.0, 1.0, interrupted=False)
    run = read_run(tmp_path)
    assert (run.cases, run.damage) == ((case(0), case(1), case(2)), {})
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize(
    ("line", "change", "said"),
    [
        (1, {"samples": "many"}, "samples: expected a list, got a text"),
        (1, {"floor": 1}, "floor: expected true or false, got a whole number"),
        (1, {"unit": "ms"}, "unit: expected ns/object"),
        (1, {"reason": 3}, "reason: expected a text or null, got a whole number"),
        (
            1,
            {"disturbed": {"x": ["steal"]}},
            "a key of disturbed: expected a whole number, got a text",
        ),
        (1, {"type": "sell"}, '"type" is \'sell\', expected "cell", "case" or "end"'),
        (3, {"blocks": 4}, "blocks: expected a list, got a whole number"),
        (
            3,
            {"blocks": [{"distance_ns": -1, "changed": False}]},
            "blocks[0].distance_ns: expected a number >= 0.001",
        ),
        (3, {"case": 7}, "case 7 is not in the plan of 3"),
        (6, {"case": 0}, "round 0 of case 0 is there for the second time"),
        (0, {"seed": "seven"}, "seed: expected a whole number, got a text"),
        (0, {"seed": True}, "seed: expected a whole number, got true or false"),
        (0, {"plan": [1]}, "plan[0]: expected an object, got a whole number"),
        (10, {"interrupted": None}, "interrupted: expected true or false, got null"),
    ],
)
def test_wrong_types_are_told_with_their_line(tmp_path: Path, line: int, change: dict[str, Any], said: str) -> None:
    file = edited(tmp_path, lambda lines: lines[line].update(change))
    if line == 0:
        assert f"{file}:1: damaged: {said}" in refused(file)
    else:
        assert said in told(file)[line + 1]


@pytest.mark.parametrize(
    ("line", "change", "said"),
    [
        (1, {"samples": [1.0] * 5 + [1e308]}, "samples[5]: expected a number <= 1e+12"),
        (1, {"samples": [1.0] * 5 + [5e-324]}, "samples[5]: expected a number >= 0.001"),
        (1, {"samples": [10**400] * 6}, "samples"),
        (1, {"objects": -1}, "objects: expected a whole number >= 0"),
        (1, {"objects": 10**19}, "objects: "),
        (1, {"samples": [], "blocks": [], "disturbed": {}}, "is ok and has samples in 0 of 3 blocks"),
        (1, {"blocks": [0, 0, 0, 1, 1, 1]}, "is ok and has samples in 2 of 3 blocks"),
        (1, {"blocks": [0, 0, 2, 2, 1, 1]}, '"blocks" does not ascend'),
        (1, {"parameters": {"burst": 2}}, "has other parameters than case 0 in the plan"),
        (1, {"floor": False}, 'has "floor" false, the plan has the opposite'),
        (1, {"attestation": {"failed_gets": [10**21]}}, "attestation: expected numbers below 1e+20"),
        (3, {"seconds": 1e300}, "seconds: expected a number <= "),
        (0, {"environment": {"machine": {"cpus": 1e300}}}, "environment: expected numbers below 1e+20"),
        (0, {"environment": {"machine": [1]}}, "environment.machine: expected an object"),
        (0, {"seed": 10**30}, "seed: "),
    ],
)
def test_what_cannot_be_is_not_used(tmp_path: Path, line: int, change: dict[str, Any], said: str) -> None:
    test_wrong_types_are_told_with_their_line(tmp_path, line, change, said)


def test_a_missing_member(tmp_path: Path) -> None:
    file = edited(tmp_path, lambda lines: lines[2].pop("version") and None)
    assert told(file) == {3: 'missing required field "version"'}


def test_a_round_twice_and_lines_after_the_end(tmp_path: Path) -> None:
    twice = edited(tmp_path / "twice", lambda lines: lines.extend(lines.pop() and lines[1:4]))
    assert told(twice)[13] == "round 0 of case 0 is there for the second time"
    after = edited(tmp_path / "after", lambda lines: lines.append(lines[-1]))
    assert told(after) == {11: "the end of the run, but more lines follow"}
    early = edited(tmp_path / "early", lambda lines: lines.insert(3, lines.pop()))
    assert told(early) == {4: "the end of the run, but more lines follow"}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_has_not(tmp_path: Path, number: str) -> None:
    file = written(tmp_path)
    file.write_text(file.read_text().replace("[1.5,", f"[{number},", 1))
    assert told(file)[2].startswith("not JSON (")


def test_lines_of_older_files_have_no_checksum(tmp_path: Path) -> None:
    file = written(tmp_path, cases=2, ended=False)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    bare = [json.dumps({name: value for name, value in line.items() if name != "crc"}) + "\n" for line in lines]
    file.write_text("".join(bare))
    assert told(file) == {}
    with RunWriter.resume(tmp_path) as writer:
        writer.write_round(case(2))
    assert (len(read_run(file).cases), told(file)) == (3, {})
    # Where the first line has one, all must.
    edited(tmp_path / "new", lambda lines: None)
    new = tmp_path / "new" / FILE_NAME
    new.write_bytes(
        new.read_bytes().splitlines(keepends=True)[0]
        + bare[1].encode()
        + b"".join(new.read_bytes().splitlines(keepends=True)[2:])
    )
    assert told(new) == {2: "has no checksum at its end, as the first line has"}


def test_files_from_before_latency_and_reuse_are_read(tmp_path: Path) -> None:
    def without(lines: list[Any]) -> None:
        for line in lines:
            line.pop("latency", None)
            line.pop("reuse", None)

    run = read_run(edited(tmp_path, without))
    assert run.cases == (case(0), case(1), case(2))
    assert run.cases[0].cells[0].passes == {}


@pytest.mark.parametrize(
    ("member", "value", "words"),
    [
        ("latency", {"get": {}}, 'latency.get: missing required field "every"'),
        ("latency", 3, "latency: expected an object, got a whole number"),
        ("reuse", {"window": 1000}, 'reuse: missing required field "pages_2m"'),
    ],
)
def test_damaged_latency_and_reuse_are_left_out(tmp_path: Path, member: str, value: Any, words: str) -> None:
    assert words in told(edited(tmp_path, lambda lines: lines[1].update({member: value})))[2]
