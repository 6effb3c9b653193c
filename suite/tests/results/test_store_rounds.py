# SPDX-License-Identifier: BSD-3-Clause
"""Rounds in the run file: each is there or is not; which are missing, which count, and files from before rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from allocmark.cli import main
from allocmark.errors import RunFileError
from allocmark.results.records import MeasuredCase
from allocmark.results.store import FILE_NAME, RunWriter, read_run
from allocmark.results.summary import summarise
from allocmark.stats import Verdict
from fixtures.small_rounds import case, failed, header

DATA = Path(__file__).with_name("data")


def written(folder: Path, rounds: Sequence[MeasuredCase], ended: bool = True) -> Path:
    with RunWriter.create(folder, header()) as writer:
        for each in rounds:
            writer.write_round(each)
        if ended:
            writer.end(9.0, 8.0, interrupted=False)
    return folder / FILE_NAME


def without(file: Path, *gone: int) -> Path:
    """The file, some lines of it removed."""
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(line for number, line in enumerate(lines, 1) if number not in gone))
    return file


ROUNDS = [case(index, number=number) for number in range(3) for index in range(3)]


def test_rounds_are_read_as_they_were_written(tmp_path: Path) -> None:
    run = read_run(written(tmp_path, ROUNDS))
    assert run.rounds == {index: tuple(case(index, number=n) for n in range(3)) for index in range(3)}
    assert run.end
    assert run.end.rounds == 9
    assert [each.rounds for each in run.cases] == [3] * 3
    assert len(run.cases[0].cells[0].samples) == 18


def test_a_round_is_written_once(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, header()) as writer:
        writer.write_round(case(0, number=1))
        with pytest.raises(RunFileError, match="round 1 of case 0 is there already"):
            writer.write_round(case(0, number=1))
        writer.write_round(case(0, number=0))
    assert [each.round for each in read_run(tmp_path).rounds[0]] == [0, 1]


def test_blocks_of_another_round_are_not_written(tmp_path: Path) -> None:
    with (
        RunWriter.create(tmp_path, header()) as writer,
        pytest.raises(RunFileError, match="round 1 of case 0 has blocks of another round"),
    ):
        writer.write_round(replace(case(0), round=1))


def test_a_round_that_is_missing_is_told_by_the_end(tmp_path: Path) -> None:
    # The second round of case 1: its cells, and its own line.
    file = without(written(tmp_path, ROUNDS), 14, 15, 16)
    run = read_run(file)
    assert run.damage == {26: "the end of a run of 9 rounds, of which 1 are missing"}
    assert [[each.round for each in run.rounds[index]] for index in range(3)] == [[0, 1, 2], [0, 2], [0, 1, 2]]


def test_a_damaged_round_is_removed_and_its_number_is_free(tmp_path: Path) -> None:
    file = without(written(tmp_path, ROUNDS), 14)
    assert read_run(file).damage == {15: "round 1 of case 1 lacks null:default"}
    with RunWriter.resume(tmp_path) as writer:
        assert [[each.round for each in writer.rounds_of(index)] for index in range(3)] == [
            [0, 1, 2],
            [0, 2],
            [0, 1, 2],
        ]
        writer.write_round(case(1, number=1))
        writer.end(1.0, 1.0, interrupted=False)
    run = read_run(file)
    assert run.damage == {}
    assert run.rounds[1] == tuple(case(1, number=n) for n in range(3))


def test_a_case_with_a_failed_cell_is_measured_again_from_the_first_round(tmp_path: Path) -> None:
    before = [failed(case(0, number=n)) for n in range(3)]
    written(tmp_path, [*before, case(1)])
    with RunWriter.resume(tmp_path) as writer:
        assert (writer.failed, writer.rounds_of(0), len(writer.rounds_of(1))) == (1, (), 1)
        assert writer.write_round(case(0)).attempt == 1
    run = read_run(tmp_path)
    assert run.damage == {}
    assert [(each.attempt, each.failed) for each in run.rounds[0]] == [(1, False)]
    # Until something replaces it, what was measured before counts.
    again = tmp_path / "again"
    written(again, before)
    RunWriter.resume(again).close()
    assert len(read_run(again).rounds[0]) == 3


def test_one_failed_process_of_many_is_no_failed_cell(tmp_path: Path) -> None:
    rounds = [case(0, number=n) for n in range(7)] + [failed(case(0, number=7))]
    written(tmp_path, rounds)
    with RunWriter.resume(tmp_path) as writer:
        assert (writer.failed, len(writer.rounds_of(0))) == (0, 8)


def test_rounds_of_an_earlier_attempt_do_not_come_back(tmp_path: Path) -> None:
    file = written(tmp_path, [failed(case(0))], ended=False)
    old = file.read_bytes().splitlines(keepends=True)[1:]
    with RunWriter.resume(tmp_path) as writer:
        writer.write_round(case(0))
    file.write_bytes(file.read_bytes() + b"".join(old))
    run = read_run(file)
    assert [*run.damage.values()] == ["round 0 of case 0 is there for the second time"]
    assert not run.cases[0].failed


@pytest.mark.parametrize("form", [1, 2])
def test_files_from_before_rounds_give_figures_and_no_verdict(form: int, capsys: pytest.CaptureFixture[str]) -> None:
    run = read_run(DATA / f"format{form}.jsonl")
    assert run.damage == {}
    for each in summarise(run):
        assert each.measured.rounds == 1
        found = [cell for cell in each.cells if cell.ratio]
        assert found
        assert all(cell.median and cell.verdict is Verdict.CANNOT_TELL for cell in found)
    assert main(["show", str(run.path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "cannot tell" in shown
    assert "one process of each cell" in shown
    assert "faster or slower" not in shown


def test_the_formats_hold_the_same() -> None:
    one, two = (read_run(DATA / f"format{form}.jsonl") for form in (1, 2))
    assert (one.header, one.cases) == (two.header, two.cases)
