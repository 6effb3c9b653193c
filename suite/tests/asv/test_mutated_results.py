# SPDX-License-Identifier: BSD-3-Clause
"""Results of asv with random damage: each is told in a note, and the rest of them makes a history and a site.

asv's files have no checksums: what stays within the bounds, and fits the other members of its file, is not detected.
"""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from allocmark.asv.history import commits_of, histories
from allocmark.asv.publish_site import publish
from allocmark.asv.stored_results import ResultFile, read_results
from allocmark.errors import AllocmarkError
from fixtures import synthetic
from fixtures.mutations import damaged_bytes, damaged_value


def damage_one(results: Path, draw: random.Random) -> Path:
    """Damage one file of a results folder."""
    path = draw.choice(
        [*sorted(results.glob("*/*-*.json")), results / "benchmarks.json", results / "bench1/machine.json"]
    )
    if draw.random() < 0.3:
        path.write_bytes(damaged_bytes(path.read_bytes(), draw))
    else:
        members = json.loads(path.read_text())
        damaged_value(members, draw)
        path.write_text(json.dumps(members))
    return path


def endure(tmp_path: Path, seed: int, count: int, sites: int) -> int:
    """Damage results ``count`` times and read them; publish ``sites`` of them. How often a note told of damage."""
    project = tmp_path / "project"
    synthetic.project(project, 3)
    results = project / ".asv/results"
    whole = tmp_path / "whole"
    shutil.copytree(results, whole)
    commits = commits_of(project, ["HEAD"])
    files = {file.path.name: file for file in read_results(results).machines[0].files}
    noted = 0
    for number in range(count):
        shutil.rmtree(results)
        shutil.copytree(whole, results)
        bad = damage_one(results, random.Random(f"{seed} {number}"))
        read = read_results(results)
        noted += bool(read.notes)
        assert all("\n" not in note and "\x1b" not in note for note in read.notes), number
        lost = set(files) - {file.path.name for machine in read.machines for file in machine.files}
        assert read.notes or not lost, number
        for file in (file for machine in read.machines for file in machine.files if file.path != bad):
            assert file == ResultFile(file.path, *list(vars(files[file.path.name]).values())[1:]), number
        histories(read, commits)
        if number % (count // sites) == 0:
            try:
                publish(project / "asv.conf.json")
            except AllocmarkError as error:
                assert "nothing to publish" in str(error), (number, bad)  # noqa: PT017
    return noted


def test_damage_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    assert endure(tmp_path, 1, 60, 3) > 20


@pytest.mark.long
@pytest.mark.timeout(2000)
def test_500_damaged_folders(tmp_path: Path) -> None:
    assert endure(tmp_path, 2, 500, 100) > 150
