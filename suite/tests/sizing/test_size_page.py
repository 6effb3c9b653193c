# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark size --html``: one page, looked at in a real browser that reaches nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import COMMAND
from support import assert_refused

#: Two actors on a core each, with a pool each: one holds 0 to 32 objects, the other 0 to 16.
SWINGS = """
format: 1
name: swings
summary: s
source: s
pools: {p: {object_size: 64, objects: 4000}, r: {object_size: 64, objects: 4000}}
actors:
  a:
    - {repeat: {until_held: 32, steps: [{get: {from: p, n: 8}}]}}
    - {repeat: {until_held: 0, steps: [{put: {which: oldest, n: 8}}]}}
  b:
    - {repeat: {until_held: 16, steps: [{get: {from: r, n: 8}}]}}
    - {repeat: {until_held: 0, steps: [{put: {which: oldest, n: 8}}]}}
"""
TOLD, SILENT = "stash:told", "stash:silent"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, stash: Path, scripts: None) -> tuple[Path, str]:
    """The page, and what the terminal said."""
    folder = tmp_path_factory.mktemp("sizes")
    (folder / "w.yaml").write_text(SWINGS)
    asked = ["size", "./w.yaml", "-b", TOLD, "-b", SILENT, "--cache", "8,16,32,256", "--html", "size.html"]
    environ = {**os.environ, "PYTHONPATH": str(stash), "COLUMNS": "300"}
    done = subprocess.run([*COMMAND, *asked], cwd=folder, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("page: size.html\n")
    return folder / "size.html", done.stdout


def heights(path: str) -> list[float]:
    """Of the points of a line, from the top."""
    return [float(y) for y in re.findall(r"[\d.]+,([\d.]+)", path)]


def test_a_plot_for_each_pool_has_a_line_for_each_backend_that_tells_and_its_knee(
    written: tuple[Path, str], open_page: Callable[..., Any]
) -> None:
    """Worked out in test_size.py: 6 trips for 32 objects with 8, 5 for 64 with 16 where 32 are held, else none."""
    page = open_page(written[0]).page
    plots = page.locator("figure.chart .panels > div")
    plots.first.locator("svg").wait_for()
    assert plots.locator("h5").all_inner_texts() == ["p", "r"]
    for plot, with_16 in zip(plots.all(), (5 / 64, 0), strict=True):
        (line,) = plot.locator("[aria-label=line] path").all()
        eight, sixteen, zero = heights(line.get_attribute("d"))
        assert (zero - sixteen) / (zero - eight) == pytest.approx(with_16 / (6 / 32), abs=0.01)
        assert plot.locator(f"[aria-label='knee of {TOLD}: 32']").count() == 1
        assert plot.locator("[aria-label^=knee]").count() == 1
    assert page.locator(".legend").inner_text() == TOLD
    assert f"does not say: {SILENT}." in page.locator("#case-swings .note").last.inner_text()


def test_it_says_what_the_terminal_says(written: tuple[Path, str], open_page: Callable[..., Any]) -> None:
    path, text = written
    page = open_page(path).page
    lines = [" ".join(line.split()) for line in text.splitlines()]
    tables = page.locator("#case-swings table").all()
    for label, table in zip((TOLD, SILENT), tables, strict=True):
        assert " ".join(" ".join(table.locator("th").all_inner_texts()).split()) in lines
        found = [" ".join(row.inner_text().split()) for row in table.locator("tbody tr").all()]
        refused = "refused: a stash caches at most 200 objects"
        assert found[-1] == f"256 {refused}"
        assert set(found) <= set(lines)
        advice = page.locator("h2", has_text=label).locator("+ p").inner_text()
        assert f"{label}: {advice}" in lines
    assert (
        page.locator("h2", has_text=TOLD).locator("+ p").inner_text().startswith("cache 32: no trips; p ≥ 32, r ≥ 16")
    )
    assert tables[1].locator("td", has_text="does not say").count() == 3
    assert tables[0].locator("tr", has_text="knee").last.locator("td").first.inner_text() == "32"


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("scripts_run", [True, False])
def test_it_fits_and_is_quiet(
    written: tuple[Path, str], open_page: Callable[..., Any], width: int, scripts_run: bool
) -> None:
    opened = open_page(written[0], width=width, scripts=scripts_run)
    page = opened.page
    if scripts_run:
        opened.draw()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".plot svg").count() == 2
    else:
        assert f"{TOLD}: 0.1875 with cache 8, " in page.locator(".undrawn").inner_text()
        assert "knee at 32." in page.locator(".undrawn").inner_text()
    assert page.get_by_text("cache 32: no trips").is_visible()
    assert (opened.requests, opened.complaints) == ([], [])
    opened.shoot(f"size-{width}{'' if scripts_run else '-no-scripts'}")


def test_every_link_resolves(written: tuple[Path, str], open_page: Callable[..., Any]) -> None:
    page = open_page(written[0]).page
    anchors = page.eval_on_selector_all("a[href]", "links => links.map(link => link.getAttribute('href'))")
    assert "#case-swings" in anchors
    assert [a for a in anchors if page.locator(f"[id='{a[1:]}']").count() != 1] == []


def test_where_no_backend_tells_there_is_a_table_and_no_plot(
    allocmark_command: Callable[..., Any], open_page: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "w.yaml").write_text(SWINGS)
    done = allocmark_command("size", "./w.yaml", "-b", "glibc", "--json", "--html", "size.html")
    assert (done.returncode, done.stderr) == (0, "allocmark: page: size.html\n")
    assert json.loads(done.stdout)
    page = open_page(tmp_path / "size.html").page
    assert page.locator("figure").count() == 0
    assert page.locator("td", has_text="does not say").count() == 1


def test_a_file_that_cannot_be_written_is_one_line(allocmark_command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(SWINGS)
    for file, words in {
        ".": "is a folder, expected a file",
        "": "is a folder, expected a file",
        "nowhere/size.html": "cannot be written there",
        "w.yaml": "is the workload itself, choose another name",
    }.items():
        assert_refused(allocmark_command("size", "./w.yaml", "-b", "glibc", "--html", file), f"--html {file}", words)
    full = allocmark_command("size", "./w.yaml", "-b", "glibc", "--html", "/dev/full")
    assert (full.returncode, full.stderr) == (2, "allocmark: /dev/full: No space left on device\n")
    assert [path.name for path in tmp_path.iterdir()] == ["w.yaml"]
    assert (tmp_path / "w.yaml").read_text() == SWINGS
