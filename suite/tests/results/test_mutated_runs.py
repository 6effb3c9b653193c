# SPDX-License-Identifier: BSD-3-Clause
"""Run files with random damage: every command that reads them tells what is bad, and no figure is wrong in silence.

What cannot be detected: a change within the bounds by somebody who puts the right checksum under it, two or more
changes of one line that happen to leave its CRC-32 as it was (1 in 4,000 million), and a file whose last cases and end
are cut off between two cases, which is what a run that was killed looks like.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from allocmark.asv.gather import runs as published_runs
from allocmark.cli import main
from allocmark.output.html import build_site
from allocmark.results.records import MeasuredCell, sealed
from allocmark.results.store import Run, RunWriter, read_run
from fixtures.mutations import damaged_bytes, damaged_value
from fixtures.simulated import edit_run
from fixtures.small_rounds import case, header

COMMANDS = (
    *(["show"], ["show", "--json"], ["show", "--baseline", "glibc"], ["compare"]),
    *(["export", "--format", form] for form in ("csv", "googlebenchmark", "json", "markdown", "pyperf")),
)


@pytest.fixture(params=["rounds", "measured", "verified"])
def whole(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A run of several rounds; or a real one from before rounds, with checksums; or as if that had only verified."""
    file = tmp_path / "whole" / "run.jsonl"
    if request.param == "rounds":
        with RunWriter.create(file.parent, header()) as writer:
            for each in (case(index, number=number) for number in (0, 1, 3) for index in range(3)):
                writer.write_round(each)
            writer.end(9.0, 8.0, interrupted=False)
        return file
    lines = (Path(__file__).with_name("data") / "format1.jsonl").read_bytes().splitlines()
    file.parent.mkdir()
    file.write_bytes(b"".join(map(sealed, lines)))
    if request.param == "verified":
        edit_run(file, _verified)
    return file


def _verified(lines: list[Any]) -> None:
    lines[0]["settings"]["verify"] = True
    for line in lines:
        if line["type"] == "cell":
            line |= {"samples": [], "blocks": [], "disturbed": {}, "latency": {}, "reuse": {}}
            line["attestation"]["stranded"] = {"mbuf": 7}
        elif line["type"] in ("case", "group"):
            line["blocks"] = []


def _cells(run: Run) -> list[MeasuredCell]:
    """Those of all rounds, as they are in the file."""
    return [cell for rounds in run.rounds.values() for each in rounds for cell in each.cells]


def endure(whole: Path, seed: int, count: int, capsys: pytest.CaptureFixture[str]) -> int:
    """Damage the file ``count`` times, and read it with a command. How often something of it was used."""
    good = read_run(whole)
    cells = _cells(good)
    file = whole.parent.with_name("damaged") / whole.name
    file.parent.mkdir()
    used = 0
    for number in range(count):
        draw = random.Random(f"{seed} {number}")
        data = whole.read_bytes()
        checked = draw.random() < 0.6
        if draw.random() < 0.5:
            file.write_bytes(damaged_bytes(data, draw))
            checked = True
        else:
            lines = data.splitlines(keepends=True)
            at = draw.randrange(len(lines))
            record = json.loads(lines[at])
            seal = record.pop("crc")
            damaged_value(record, draw)
            text = json.dumps(record, separators=(",", ":")).encode()
            lines[at] = text[:-1] + f',"crc":"{seal}"}}\n'.encode() if checked else sealed(text)
            file.write_bytes(b"".join(lines))
        command = draw.choice(COMMANDS)
        status = main([command[0], str(file), *command[1:]])
        out, err = capsys.readouterr()
        assert status in (0, 2), (number, status)
        assert "Traceback" not in err, number
        assert "\x1b" not in out + err or command[-1] == "json", number
        used += bool(out)
        if number % 25 == 0 and (shown := published_runs([str(file.parent)]).runs):
            build_site(shown, whole.parent.with_name(f"site{number}"))
        if checked and out:
            run = read_run(file)
            found = _cells(run)
            assert all(cell in cells for cell in found), number
            lost = len(found) < len(cells)
            # A run that ends between two cases may have been killed there.
            assert not lost or run.damage or run.end is None, number
            assert bool(run.damage) == (status == 2), number
    return used


def test_damage_is_told_and_the_rest_is_used(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 5 < endure(whole, 1, 60, capsys) < 60


@pytest.mark.parametrize("value", [None, 5, "x", [1], {"a": 1}, {"a": "x"}, {"a": {"b": [1]}}])
def test_members_of_any_shape_do_not_stop_a_page(whole: Path, capsys: pytest.CaptureFixture[str], value: Any) -> None:
    """What a line says of memory, CPUs and faults has no fixed shape: the page passes over what it cannot show."""

    def change(lines: list[Any]) -> None:
        for line in lines:
            if line["type"] == "cell":
                line["attestation"] = dict.fromkeys([*line["attestation"], "stranded", "notes", "cpus"], value)
                line["probes"] = dict.fromkeys([*line["probes"], "start", "after", "drained"], value)

    edit_run(whole, change)
    for command in ("report", "show"):
        assert main([command, str(whole)]) in (0, 2)  # a run that only verified has no report
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_5000_damaged_files(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert endure(whole, 2, 2500, capsys) > 250
