# SPDX-License-Identifier: BSD-3-Clause
"""A measurement pass is one file and its place in `PASSES`."""

from __future__ import annotations

import csv
import importlib
import io
import json
import sys
from pathlib import Path

import pytest

from allocmark.cli import main
from allocmark.passes import registry
from fixtures.simulated import edit_run

TINY = ["burst", "--short", "--set", "bulk=8", "--set", "keep=128", "--set", "pools.mbuf.objects=999", "-b", "glibc"]
BRIEF = ["--rounds", "1", "--blocks", "3", "--sample-ms", "1", "--no-latency", "--no-reuse", "--no-placement"]
TOY = """
from dataclasses import dataclass

from allocmark.passes.base import Figures, PassColumn, TablePass


@dataclass(frozen=True)
class Toy(Figures):
    pools: int
    objects: list[int]


class ToyPass(TablePass[Toy]):
    name = "toy"
    help = "do not play"
    record = Toy
    title = "what was played with"
    columns = (
        PassColumn("most objects", lambda toy: max(toy.objects), "{:,}".format, csv="toy_most"),
        PassColumn("pools seen", lambda toy: toy.pools, "{:d} of them".format),
    )

    def start(self, engine, program, cpus):
        return lambda units: {"pools": len(program.pools), "objects": engine.sample(units).objects}

    def blocks(self, wanted):
        return wanted - 1

    def merge(self, replies, kept):
        return {"toy": {"pools": replies[0]["pools"], "objects": [reply["objects"] for reply in replies.values()]}}

    def note(self, records):
        return f"Played by {len(records)}."
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that nobody knew of, for this process and those of the cells."""
    (tmp_path / "toy_pass.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(registry, "PASSES", (*registry.PASSES, importlib.import_module("toy_pass").ToyPass()))
    yield
    del sys.modules["toy_pass"]


def test_a_new_pass_is_asked_for_run_kept_and_shown(toy, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["run", *TINY, *BRIEF, "-o", str(run), "--json", str(tmp_path / "all.json")]) == 0
    shown = capsys.readouterr().out
    lines = [json.loads(line) for line in (run / "run.jsonl").read_text().splitlines()]
    objects = [line["toy"]["objects"] for line in lines if line["type"] == "cell"]
    assert [len(each) for each in objects] == [2, 2]  # the floor is a cell, too
    assert all(n > 0 for each in objects for n in each)

    cells = json.loads((tmp_path / "all.json").read_text())["cells"]
    assert [cell["toy"] for cell in cells] == [{"pools": 1, "objects": each} for each in objects]
    assert [cell["latency"] for cell in cells] == [None, None]

    table = shown.split("burst: what was played with\n")[1].splitlines()
    assert table[1].split() == ["backend", "most", "objects", "pools", "seen"]
    assert table[4].split() == ["glibc", f"{max(objects[1]):,}", "1", "of", "them"]
    assert "Played by 2." in table

    assert main(["export", str(run), "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["toy_most"] for row in rows] == [str(max(each)) for each in objects]

    page = tmp_path / "page.html"
    assert main(["report", str(run), "-o", str(page)]) == 0
    assert "<caption>What was played with</caption>" in page.read_text()
    assert '<p class="note">Played by 2.</p>' in page.read_text()
    capsys.readouterr()

    edit_run(run / "run.jsonl", lambda lines: lines[1]["toy"].update(pools=-1))
    assert main(["show", str(run)]) == 2
    assert "run.jsonl:2: toy: pools is -1, expected a number from 0" in capsys.readouterr().err


def test_a_new_pass_can_be_left_out(toy, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert "--no-toy" in (said := capsys.readouterr().out)
    assert "do not play" in said
    assert main(["run", *TINY, *BRIEF, "--no-toy", "-o", str(tmp_path / "run")]) == 0
    assert "played" not in capsys.readouterr().out
    assert '"toy":' not in (tmp_path / "run" / "run.jsonl").read_text()


def test_names_are_a_pass_its_own():
    passes = [*registry.PASSES, *registry.scheduled((), False), *registry.scheduled((), True)]
    names = [each.name for each in passes]
    assert len({*names, "finish"}) == len(names) + 1
    csv_names = [column.csv for each in registry.PASSES for column in each.columns if column.csv]
    assert len({*csv_names}) == len(csv_names)


def test_counting_comes_before_all_samples():
    names = [each.name for each in registry.scheduled(("latency", "reuse", "placement"), False)]
    assert names == ["reuse", "sample", "latency", "placement"]
    assert registry.counting() == ("reuse",)


def test_what_is_timed_is_due_until_enough_rounds_were_usable():
    def due(number, usable, most=None):
        named = ("latency", "reuse", "placement")
        return [each.name for each in registry.scheduled(named, number=number, usable=usable, most=most)]

    few = registry.PASSES[2].most_rounds
    assert due(0, 0) == ["reuse", "sample", "latency", "placement"]
    assert due(2 * few - 1, few - 1) == ["sample", "latency", "placement"]
    assert due(few, few) == ["sample", "latency"]
    assert due(2 * few, few - 1) == ["sample", "latency"]  # not without end
    assert due(few, few, most=few + 1) == ["sample", "latency", "placement"]
