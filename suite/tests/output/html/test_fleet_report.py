# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark report`` of the folder of a fleet: one page, looked at in a real browser that reaches nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import assert_refused, called

from allocmark.fleet.folder import FleetFolder
from allocmark.fleet.summaries import summarise_fleet
from allocmark.output.text.fleet_table import fleet_table
from fixtures.made_fleet import KINDS, MadeFleet
from fixtures.simulated import BACKENDS

EPYC, XEON, ARM, OLD = KINDS
ENDED = "no machine of its kind is left; the last one its worker ended"
LOST = ("old is lost (its worker ended), and with it cross_core_free burst=8 touch=0", "rack9 is left out: <silent>")
TURBO = "turbomem:default"
LABELS = ("glibc:default", "dpdk_ring:ring_mp_mc", TURBO)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Turbomem is faster on two kinds, slower on a third, and too little is known of the fourth."""
    made = MadeFleet(
        fields={
            XEON: {"scale": {TURBO: 60.0}},
            ARM: {"status": {("mixed_sizes", TURBO): ("failed", "ended with SIGSEGV in get", "install it")}},
            OLD: {"rounds": 3},
        },
        missing=[(OLD, 5, ENDED), (OLD, 6, ENDED)],
        lost=LOST,
        left_out={"graviton": ["dpdk_ring: no huge pages are free"]},
    )
    return made.write(tmp_path_factory.mktemp("fleet"))


@pytest.fixture(scope="module")
def report(fleet: Path) -> Path:
    done = called("report", fleet)
    assert (done.returncode, done.stdout) == (0, f"report: {fleet / 'report.html'}\n"), done.stderr
    return fleet / "report.html"


def rows(page: Any, section: str) -> list[list[str]]:
    """The texts of a table, with single blanks."""
    found = page.locator(f"#{section} tbody tr").all()
    return [[" ".join(text.split()) for text in row.locator("td").all_inner_texts()] for row in found]


def test_a_column_for_each_kind_and_how_many_agree(report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(report).page
    heads = page.locator("#workload-burst th").all_inner_texts()
    lettered = [f"{letter}: {kind}" for letter, kind in zip("ABCD", KINDS, strict=True)]
    assert heads == ["burst", "keep", "backend", "over kinds", *lettered]
    assert len(rows(page, "workload-burst")) == 3 * 2
    baseline, first, *_ = rows(page, "workload-burst")
    assert baseline == ["1", "128", "glibc:default", "", *["baseline"] * 4]
    assert first[:4] == ["1", "128", TURBO, "faster on 2 of 4, slower on 1, cannot tell on 1"]
    for text, verdict in zip(first[4:], ["faster", "slower", "faster", "cannot tell"], strict=True):
        assert re.fullmatch(rf"[\d.]+ [\[(][\d.]+, [\d.]+[\])] {verdict}", text)
    # Where two cases were lost, their kind has no figures.
    assert rows(page, "workload-cross_core_free")[1][-1].endswith("faster")
    assert rows(page, "workload-cross_core_free")[1][3] == "faster on 2 of 3, slower on 1"


def test_it_says_what_the_table_says(fleet: Path, report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(report).page
    text = " ".join(fleet_table(summarise_fleet(FleetFolder(fleet)), width=1000).split())
    for name in ("burst", "mixed_sizes", "cross_core_free"):
        found = rows(page, f"workload-{name}")
        for row in found:
            assert f"{row[-3]} {row[-2]}" in text
    for line in page.locator("#machines h2:not(:last-of-type) + ul li").all_inner_texts():
        assert line in text


def test_who_took_part_who_was_lost_and_what_has_no_figures(report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(report).page
    machines = rows(page, "machines")
    assert [row[:3] for row in machines] == [
        ["rack1-1", "A", "4"], ["rack1-2", "A", "3"], ["rack2-1", "B", "7"], ["graviton", "C", "7"], ["old", "D", "5"],
    ]  # fmt: skip
    assert "KVM, Debian GNU/Linux 12, kernel 6.1.0-28-amd64" in machines[0][3]
    assert machines[0][4] == "null 0.1.0, glibc 2.36, turbomem 0.1.0"
    said = page.locator("#machines").inner_text()
    assert all(line in said for line in LOST)
    assert f"cross_core_free burst=8 touch=0 on {OLD}: {ENDED}" in said
    assert f"{TURBO} failed in 2 cases: ended with SIGSEGV in get; to change that: install it (on C)" in said
    assert "left out: dpdk_ring: no huge pages are free (on graviton)" in said
    assert "2 cases without a run" in page.locator("#overview .alert").inner_text()
    assert "26 of 28 cases" in page.locator("#overview .facts").inner_text()


def test_the_page_of_a_machine_is_written_by_the_command_it_names(
    fleet: Path, report: Path, open_page: Callable[..., Any], scripts: None, tmp_path: Path
) -> None:
    page = open_page(report).page
    *words, pattern = page.locator("#machines code").inner_text().split()
    assert [*words, pattern] == ["allocmark", "report", f"{fleet}/MACHINE/CASE"]
    folder = Path(rows(page, "machines")[0][5])
    run = next(each for each in folder.iterdir() if each.is_dir())
    assert called("report", run, "-o", tmp_path / "one.html").returncode == 0


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("scripts_run", [True, False])
def test_it_fits_and_is_quiet(report: Path, open_page: Callable[..., Any], width: int, scripts_run: bool) -> None:
    opened = open_page(report, width=width, scripts=scripts_run)
    assert (opened.requests, opened.complaints) == ([], [])
    if scripts_run:
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    shown = opened.page.locator("#workload-burst td", has_text="faster on 2 of 4").first
    box = shown.bounding_box()
    assert box["x"] + box["width"] <= width, "what the fleet says is in the window"
    opened.shoot(f"fleet-{width}{'' if scripts_run else '-no-scripts'}")


def test_a_table_is_sorted_by_a_kind(report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(report).page
    page.locator("#workload-burst th", has_text="A: AMD").click()
    found = [float(row[4].split()[0]) for row in rows(page, "workload-burst") if row[4] != "baseline"]
    assert found == sorted(found)
    assert len(found) == 3


def test_every_link_resolves(report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(report).page
    anchors = page.eval_on_selector_all("a[href]", "links => links.map(link => link.getAttribute('href'))")
    assert "#machines" in anchors
    assert [a for a in anchors if not a.startswith("#") or page.locator(f"[id='{a[1:]}']").count() != 1] == []


def test_a_kind_that_compares_with_another_backend_is_not_counted(
    tmp_path: Path, open_page: Callable[..., Any]
) -> None:
    """Where the baseline fails on one kind, its ratios are to another backend."""
    cells = {"backends": tuple(cell for cell in BACKENDS if cell.floor or cell.label in LABELS)}
    failed = {"status": {("burst", LABELS[0]): ("failed", "ended", None)}}
    fleet = MadeFleet(fields={kind: {**cells, **(failed if kind == XEON else {})} for kind in KINDS}).write(tmp_path)
    done = called("report", fleet)
    assert done.returncode == 0, done.stderr
    found = rows(open_page(fleet / "report.html").page, "workload-burst")
    assert [row[5].split()[0] for row in found[:2]] == ["failed", "baseline"]
    assert found[2][3] == "faster on all 3"
    assert found[2][5].endswith(f"faster (to {LABELS[1]})")
    assert found[2][6].endswith("faster")


def test_refuses_what_it_cannot_do(fleet: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    assert_refused(called("report", fleet, "--before", fleet, "-o", out), "the runs of a fleet", "no --before")
    assert_refused(called("report", fleet, "--baseline", "jemalloc", "-o", out), "jemalloc", "turbomem")
    assert_refused(called("report", fleet, "-o", fleet / "fleet.json"), "choose another name")
    for words in (["publish", fleet, "-o", tmp_path / "site"], ["show", fleet], ["report", "--before", fleet]):
        if words[0] == "report":
            words[1:1] = [next(fleet.glob("*/*/run.jsonl"))]
        assert_refused(called(*words), f"{fleet}: the folder of a fleet", "`allocmark report`", "MACHINE/CASE")
    (tmp_path / "fleet.json").write_text("{}")
    assert_refused(called("report", tmp_path), "fleet.json: damaged")
    assert {path.name for path in tmp_path.iterdir()} == {"fleet.json"}
