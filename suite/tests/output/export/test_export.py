# SPDX-License-Identifier: BSD-3-Clause
"""Every format is read back by the tool that it is for."""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from allocmark import stats
from allocmark.cli import main
from allocmark.errors import UsageError
from allocmark.output import write_whole
from allocmark.output.export import FORMATS, export
from allocmark.results.store import Run
from allocmark.results.summary import document, summarise
from fixtures.simulated import BACKENDS, SHAPES, Shape, edit_run

COMPARE = Path("/usr/share/benchmark/compare.py")  # of Debian's libbenchmark-tools
BROKEN = {("burst", "glibc:default"): ("failed", "killed | by `signal` 9\n<b>now</b>", None)}

Simulate = Callable[..., Run]


def cells_of(run: Run) -> int:
    return sum(len(case.cells) for case in run.cases)


def test_the_command_writes_a_file_at_once(
    simulate: Simulate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = simulate()
    target = tmp_path / "out.csv"
    target.write_text("old")
    assert main(["export", str(run.path), "--format", "csv", "-o", str(target)]) == 0
    assert main(["export", str(run.path), "--format", "csv"]) == 0
    assert target.read_text().splitlines() == capsys.readouterr().out.splitlines()
    assert [path.name for path in tmp_path.glob("*out*")] == ["out.csv"]


def test_a_write_that_fails_leaves_what_stood_there(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(target, "new \ud800")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out.csv", "old")]


def test_the_command_offers_every_format(simulate: Simulate, capsys: pytest.CaptureFixture[str]) -> None:
    run = simulate()
    for form in FORMATS:
        assert main(["export", str(run.path), "--format", form]) == 0
        assert capsys.readouterr().out


@pytest.mark.parametrize("form", FORMATS)
def test_what_cannot_be_exported_is_said_in_one_line(form: str, simulate: Simulate) -> None:
    with pytest.raises(UsageError, match="baseline 'nobody' is not in"):
        export(simulate(), form, "nobody")


def test_a_run_that_only_verified_has_nothing_to_export(simulate: Simulate) -> None:
    run = simulate()
    verified = replace(run, header=replace(run.header, settings={"verify": True}))
    with pytest.raises(UsageError, match="no timings to export"):
        export(verified, "csv")


def test_a_run_cut_off_is_exported_and_said(
    simulate: Simulate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = simulate()
    torn = tmp_path / "torn.jsonl"
    whole = run.path.read_bytes()
    torn.write_bytes(whole[: len(whole) // 2])
    assert main(["export", str(torn), "--format", "json"]) == 2
    out, err = capsys.readouterr()
    assert 0 < len(json.loads(out)["cells"]) < cells_of(run)
    assert "cut off here" in err


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    target = tmp_path / "run.csv"
    target.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_whole(target, "new " * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.filename == str(target)
    assert (target.read_text(), [*tmp_path.iterdir()]) == ("old", [target])
    with pytest.raises(OSError, match="/dev/full"):
        write_whole(Path("/dev/full"), "new")


def test_without_a_name_the_newest_run_is_used_and_said(
    simulate: Simulate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, age in (("b", 1), ("a", 0), ("c", 2)):
        shutil.copytree(simulate(shapes=SHAPES[:1]).path.parent, tmp_path / "runs" / name)
        os.utime(tmp_path / "runs" / name / "run.jsonl", (9000 - age, 9000 - age))
    for command in (["show"], ["report"], ["export", "--format", "csv"]):
        assert main(command) == 0
        assert capsys.readouterr().err == "allocmark: the newest run: runs/a/run.jsonl\n"
    assert [*tmp_path.glob("runs/*/report.html")] == [tmp_path / "runs/a/report.html"]


HOSTILE = "\x1b[31mred\x07\x9b2J"


def test_no_control_character_of_a_name_gets_out(simulate: Simulate, capsys: pytest.CaptureFixture[str]) -> None:
    run = simulate(status={("mixed_sizes", "glibc:default"): ("failed", "died", "mend")})

    def rename(lines: list[Any]) -> None:
        text = json.dumps(lines)
        for name in ("burst", "keep", "imix", "turbomem", "lf_stack", "0.1.0", "died", "mend", "20250131-120000"):
            text = text.replace(f'"{name}"', json.dumps(name + HOSTILE))
        lines[:] = json.loads(text)

    edit_run(run.path, rename)
    for command in (["show"], ["compare"], ["export", "--format", "csv"], ["export", "--format", "markdown"]):
        assert main([command[0], str(run.path), *command[1:]]) == 0
        out, err = capsys.readouterr()
        assert "red" in out
        assert all(c.isprintable() or c in "\r\n" for c in out + err), command
    assert main(["show", HOSTILE]) == 2
    assert all(c.isprintable() or c == "\n" for c in capsys.readouterr().err)


def test_csv_has_every_figure_in_full(simulate: Simulate) -> None:
    run = simulate(status=BROKEN, baseline="dpdk_ring")
    rows = list(csv.DictReader(io.StringIO(export(run, "csv"))))
    cells = document(run)["cells"]
    assert len(rows) == len(cells) == cells_of(run)
    for row, cell in zip(rows, cells, strict=True):
        assert (row["workload"], row["backend"], row["variant"]) == (cell["workload"], cell["backend"], cell["variant"])
        given = {key.removeprefix("param:"): text for key, text in row.items() if key.startswith("param:") and text}
        assert given == {key: str(value) for key, value in cell["parameters"].items()}
        for name in ("median", "net_median", "ratio"):
            assert (float(row[name]) if row[name] else None) == cell[name]
        low, high = cell["ci95"] or ("", "")
        assert (row["ci95_low"], row["ci95_high"]) == (str(low), str(high))
        assert row["reason"] == (cell["reason"] or "")
        assert json.loads(row["floor"]) is cell["floor"]


def test_json_is_the_whole_run(simulate: Simulate) -> None:
    run = simulate(status=BROKEN)
    assert json.loads(export(run, "json"), parse_constant=pytest.fail) == document(run)


def test_pyperf_reads_its_suite_and_finds_our_medians(simulate: Simulate, tmp_path: Path) -> None:
    pyperf = pytest.importorskip("pyperf", exc_type=ImportError)
    run = simulate(status=BROKEN)
    path = tmp_path / "run.json"
    path.write_text(export(run, "pyperf"))
    found = {each.get_name(): each for each in pyperf.BenchmarkSuite.load(str(path)).get_benchmarks()}
    cells = [cell for case in summarise(run) for cell in case.cells if cell.median]
    assert len(found) == len(cells) == cells_of(run) - len([s for s in SHAPES if s.workload == "burst"])
    for cell, bench in zip(cells, found.values(), strict=True):
        assert bench.get_unit() == "second"
        assert cell.median is not None
        assert bench.median() == pytest.approx(cell.median.value * 1e-9)


def test_pyperf_compares_two_runs(simulate: Simulate, tmp_path: Path) -> None:
    pytest.importorskip("pyperf", exc_type=ImportError)
    for name, scale in (("old", 1.0), ("new", 1.5)):
        run = simulate(shapes=SHAPES[:1], scale={"turbomem:default": scale})
        (tmp_path / f"{name}.json").write_text(export(run, "pyperf"))
    told = _run("-m", "pyperf", "compare_to", "old.json", "new.json", cwd=tmp_path)
    slower = [line for line in told.splitlines() if "1.50x slower" in line]
    assert len(slower) == 1
    assert "turbomem:default" in slower[0]


def test_google_benchmark_compares_two_runs(simulate: Simulate, tmp_path: Path) -> None:
    if not COMPARE.exists():
        pytest.skip("the tools of Google Benchmark are not installed: apt-get install libbenchmark-tools")
    pytest.importorskip("scipy", reason="the tools of Google Benchmark need scipy")
    for name, scale in (("old", 1.0), ("new", 1.5)):
        run = simulate(shapes=SHAPES[:1], scale={"turbomem:default": scale})
        (tmp_path / f"{name}.json").write_text(export(run, "googlebenchmark"))
    _run(str(COMPARE), "--no-color", "-d", "told.json", "benchmarks", "old.json", "new.json", cwd=tmp_path)
    told = {each["name"]: each for each in json.loads((tmp_path / "told.json").read_text())}
    medians = {name: each for name, each in told.items() if name.endswith("_median")}
    assert len(medians) == len(BACKENDS)
    for name, each in medians.items():
        change = 0.5 if "turbomem" in name else 0.0
        assert each["measurements"][0]["time"] == pytest.approx(change, abs=0.02)
        test = told[name.removesuffix("_median")]["utest"]
        assert (test["time_pvalue"] < 0.01) == ("turbomem" in name)


def test_google_benchmark_has_a_repetition_a_round(simulate: Simulate) -> None:
    run = simulate(status=BROKEN, rounds=9)
    report = json.loads(export(run, "googlebenchmark"), parse_constant=pytest.fail)
    assert report["context"]["num_cpus"] == 2
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in report["benchmarks"]:
        by_name.setdefault(row["run_name"], []).append(row)
    for rows in by_name.values():
        if rows[0].get("error_occurred"):
            assert [row["error_message"] for row in rows] == [BROKEN["burst", "glibc:default"][1]]
            continue
        *samples, middle = rows
        assert [row["repetition_index"] for row in samples] == list(range(9))
        assert middle["aggregate_name"] == "median"
        assert middle["real_time"] == stats.median(row["real_time"] for row in samples)


def test_markdown_shows_hostile_names_as_text(simulate: Simulate) -> None:
    hostile = "a|b `c` <script>alert(1)</script> @user #1 [x](y)"
    shape = Shape("work|load", {"what": hostile}, SHAPES[0].costs)
    run = simulate(shapes=[shape], status={("work|load", "glibc:default"): ("failed", hostile, None)})
    text = export(run, "markdown")
    rows = _table(text)
    assert len(rows) == len(BACKENDS)
    for row, planned in zip(rows, BACKENDS, strict=True):
        assert [each.content for each in row[0]] == ["work|load"]
        assert [(each.type, each.content) for each in row[1]] == [("code_inline", f"what={hostile}")]
        assert [each.content for each in row[2]] == [planned.label]
    failed = rows[1][8]
    assert [(each.type, each.content) for each in failed] == [("text", "failed: "), ("code_inline", hostile)]
    assert "<script>" not in MarkdownIt("commonmark").enable("table").render(text)


def test_markdown_says_first_what_it_adds_up_to(simulate: Simulate) -> None:
    run = simulate(shapes=SHAPES[:1], baseline="turbomem")
    first = export(run, "markdown").splitlines()[0]
    assert first == "### allocmark: 4 slower"
    twins = [each for each in BACKENDS if each.backend in ("null", "dpdk_ring")]
    same = simulate(shapes=[Shape("w", {}, (0.6, 1, 1, 5, 5, 1))], backends=twins)
    assert "1 same" in export(same, "markdown").splitlines()[0]


def _table(text: str) -> list[list[list[Any]]]:
    """The inline tokens of a Markdown table's cells, row by row, without the header."""
    rows: list[list[list[Any]]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows:
            rows[-1].append(token.children or [])
    return [row[:9] for row in rows[1:]]


def _run(*command: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, *command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
