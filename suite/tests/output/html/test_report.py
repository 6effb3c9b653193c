# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark report``: one file of one run, looked at in a real browser that reaches nothing else."""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import assert_refused, called

from allocmark import stats
from allocmark.output.html import build_site, write_report
from allocmark.output.text.figures import figure
from allocmark.results.records import PlannedCell
from allocmark.results.store import Run
from allocmark.stats import Estimate
from fixtures import simulated
from fixtures.browser import serving
from fixtures.simulated import BACKENDS, SHAPES, Shape, edit_run

pytestmark = pytest.mark.usefixtures("scripts")

Simulate = Callable[..., Run]
HOSTILE = "</script><img src=x onerror='window.hacked=1'>"


def _command(*words: object) -> subprocess.CompletedProcess[str]:
    return called("report", *words)


@pytest.fixture(scope="session")
def report(small_run: Run) -> Path:
    done = _command(small_run.path.parent)
    assert done.returncode == 0, done.stderr
    path = small_run.path.with_name("report.html")
    assert done.stdout == f"report: {path}\n"
    return path


def test_is_one_small_file(report: Path, small_run: Run) -> None:
    assert report.stat().st_size < 6_000_000
    assert {path.name for path in report.parent.iterdir()} == {"run.jsonl", "report.html"}


def test_opens_from_disk_without_a_request(report: Path, open_page: Callable[..., Any]) -> None:
    opened = open_page(report)
    opened.draw()
    assert opened.requests == []
    assert opened.complaints == []
    plots = opened.page.locator("figure.chart")
    assert plots.count() > 10
    for plot in plots.all():
        marks = plot.locator(".plot svg").locator("circle, path, rect, g[aria-label='dot'] > *")
        assert marks.count() > 0, plot.inner_text()


def test_the_page_itself_forbids_requests(report: Path, open_page: Callable[..., Any]) -> None:
    opened = open_page(report)
    caught = "fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => error.name)"
    assert opened.page.evaluate(caught) == "TypeError"
    opened.page.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))")
    opened.page.wait_for_timeout(200)
    assert opened.requests == []
    assert any("Content Security Policy" in text for text in opened.complaints)


def test_every_link_resolves(report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(report).page
    anchors = page.eval_on_selector_all("a[href]", "links => links.map(link => link.getAttribute('href'))")
    assert len(anchors) > 10
    missing = [a for a in anchors if not a.startswith("#") or page.locator(f"[id='{a[1:]}']").count() != 1]
    assert missing == []


def _column(page: Any, table: str, column: int) -> list[str]:
    cells = f"{table} tbody tr td:nth-child({column})"
    return page.eval_on_selector_all(cells, "cells => cells.map(cell => cell.dataset.sort ?? cell.textContent)")


def test_tables_sort_by_mouse_and_by_keyboard(report: Path, open_page: Callable[..., Any]) -> None:
    opened = open_page(report)
    opened.draw()  # what is drawn later would move what is clicked
    page = opened.page
    table = "#workload-burst .chart + .scroll table"
    heads = page.eval_on_selector_all(f"{table} th", "heads => heads.map(head => head.innerText.trim())")
    column = heads.index("ns/object") + 1
    before = [float(text) for text in _column(page, table, column)]
    button = page.locator(f"{table} th:nth-child({column}) button")
    button.click()
    assert [float(text) for text in _column(page, table, column)] == sorted(before)
    assert page.locator(f"{table} th:nth-child({column})").get_attribute("aria-sort") == "ascending"
    button.focus()
    page.keyboard.press("Enter")
    assert [float(text) for text in _column(page, table, column)] == sorted(before, reverse=True)


def test_what_is_empty_is_sorted_last(report: Path, open_page: Callable[..., Any]) -> None:
    opened = open_page(report)
    opened.draw()  # what is drawn later would move what is clicked
    page = opened.page
    table = "#workload-burst .chart + .scroll table"
    heads = page.eval_on_selector_all(f"{table} th", "heads => heads.map(head => head.innerText.trim())")
    column = heads.index("ratio") + 1
    for _ in range(2):
        page.locator(f"{table} th:nth-child({column}) button").click()
        found = _column(page, table, column)
        filled = [text for text in found if text]
        assert 0 < len(filled) < len(found)
        assert found[: len(filled)] == filled


def test_light_and_dark(report: Path, open_page: Callable[..., Any]) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = open_page(report).page, open_page(report, dark=True).page
    assert light.evaluate(ground) != dark.evaluate(ground)
    assert light.evaluate(ground) == "rgb(255, 255, 255)"
    mark = "getComputedStyle(document.querySelector('.plot svg [aria-label=dot] > *')).fill"
    light.wait_for_selector(".plot svg [aria-label=dot]")
    first = light.evaluate(mark)
    for expected in ("rgb(255, 255, 255)", dark.evaluate(ground)):  # system → light → dark
        light.click("#theme")
        assert light.evaluate(ground) == expected
    assert light.evaluate(mark) != first, "the marks keep the colours of the other ground"
    light.reload()
    assert light.evaluate(ground) == dark.evaluate(ground), "the choice is forgotten"


def test_gross_and_net_are_one_switch_for_all(report: Path, open_page: Callable[..., Any]) -> None:
    opened = open_page(report)
    opened.draw()
    page = opened.page
    first = page.locator("#workload-burst figure[data-kind=forest] .plot")
    before = first.inner_html()
    page.locator("#overview [data-mode=net]").first.click()
    assert first.inner_html() != before
    pressed = page.eval_on_selector_all(
        "[data-mode]", "buttons => buttons.map(b => [b.dataset.mode, b.ariaPressed]).filter(([, on]) => on === 'true')"
    )
    assert {mode for mode, _ in pressed} == {"net"}
    assert "net of the floor" in first.inner_text()


def test_any_backend_can_be_the_one_to_compare_with(report: Path, open_page: Callable[..., Any]) -> None:
    opened = open_page(report)
    opened.draw()
    page = opened.page
    figure_ = page.locator("figure[data-kind=pairs]")
    names = figure_.locator("select option").all_inner_texts()
    assert names == ["glibc:default", "glibc:no_tcache"]

    def ratios() -> dict[str, float]:
        rows = figure_.locator("tbody tr").all()
        return {
            row.locator("td").first.inner_text(): float(row.locator("td").nth(2).get_attribute("data-sort"))
            for row in rows
        }

    one = ratios()
    assert list(one.values()) == sorted(one.values(), reverse=True), "the worst first"
    figure_.locator("select").select_option(label="glibc:no_tcache")
    other = ratios()
    assert other.keys() == one.keys()
    assert all(other[cell] == pytest.approx(1 / one[cell], rel=1e-3) for cell in one)


@pytest.mark.parametrize("width", [1280, 360])
def test_fits_its_window(report: Path, open_page: Callable[..., Any], width: int) -> None:
    opened = open_page(report, width=width)
    opened.draw()
    for ground in ("light", "dark"):
        opened.page.emulate_media(color_scheme=ground)
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
        opened.shoot(f"report-{width}-{ground}")


def test_a_wide_table_on_a_phone(report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(report, width=360).page
    box = page.locator("#workload-burst .chart + .scroll")
    name = box.locator("tbody tr").first.locator("td.key")
    assert name.inner_text().split("\n") == ["null", "bulk=1 keep=128"], "the columns before it are in it"
    before = name.bounding_box()
    assert "gradient" in box.evaluate("box => getComputedStyle(box).backgroundImage"), "a shadow where it goes on"
    box.evaluate("box => box.scrollTo(9999, 0)")
    verdict = box.locator("tbody td").filter(has_text="baseline").first
    assert name.bounding_box()["x"] == before["x"], "the name stays where it is"
    assert verdict.bounding_box()["x"] > before["x"] + before["width"]
    smallest = page.evaluate(
        """Math.min(...[...document.querySelectorAll('main *')].filter(each => each.offsetParent && each.innerText)
            .map(each => parseFloat(getComputedStyle(each).fontSize)))"""
    )
    assert smallest >= 12


def test_prints_every_chart_and_every_number(report: Path, open_page: Callable[..., Any]) -> None:
    opened = open_page(report)
    pdf = opened.page.pdf(format="A4")
    assert all(plot.locator("svg").count() for plot in opened.page.locator(".plot").all())
    pages = len(re.findall(rb"/Type /Page\b(?!s)", pdf))
    rows = opened.page.locator("main tr").count()
    assert pages < 8 + rows / 15, "the tables fill their pages"
    opened.page.emulate_media(media="print")
    assert all(table.is_visible() for table in opened.page.locator("main table").all()), "the folded ones, too"
    assert not any(each.is_visible() for each in opened.page.locator(":not(th) > button, select, summary, nav").all())
    opened.page.set_viewport_size({"width": 703, "height": 1000})  # A4 less its margins
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 703


def test_a_long_name_fits_on_paper(simulate: Simulate, tmp_path: Path, open_page: Callable[..., Any]) -> None:
    run = _renamed(simulate(calls=5000, shapes=SHAPES[::5]), "ring_mp_mc", "x" * 90, tmp_path)
    write_report(run, tmp_path / "report.html")
    build_site([run], tmp_path / "site")
    pages = [tmp_path / "report.html", *(tmp_path / "site").rglob("*.html")]
    assert len(pages) > 5
    for path in pages:
        page = open_page(path).page
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 703, "height": 1000})  # A4 less its margins
        assert page.evaluate("document.documentElement.scrollWidth") <= 703, path


def _figures_are_readable(page: Any) -> None:
    """Without scripts: each chart says that it is not drawn, and its numbers are in the page."""
    charts = page.locator("figure.chart").all()
    assert len(charts) > 2
    for chart in charts:
        assert "Scripts are off" in chart.locator(".undrawn").inner_text()
        assert chart.locator("svg").count() == 0
        below = chart.locator("xpath=following-sibling::*[1]").locator("table")
        found = chart.locator("table").count() + below.count()
        assert found or "The numbers are in the table above" in chart.inner_text()
    for number in ("ns/object", "95 % interval", "99 % interval", "p99.9", "process MiB"):
        assert page.get_by_text(number, exact=True).count(), number


def test_without_scripts(report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(report, scripts=False).page
    _figures_are_readable(page)
    assert "Scripts are off" in page.locator("noscript").inner_text()
    assert all(table.is_visible() for table in page.locator("figure.chart table").all()), "none is folded"
    assert not page.locator("#theme").is_visible(), "a button that does nothing"
    rows = page.locator("figure[data-kind=pairs] tbody tr")
    assert rows.count() == page.locator("#overview .matrix tbody tr").count(), "one of two backends, in each case"


@pytest.mark.parametrize(
    "policy", ["script-src 'self'; style-src 'self'", "sandbox; default-src 'none'; style-src 'self'"]
)
def test_from_a_server_that_forbids_scripts(report: Path, open_page: Callable[..., Any], policy: str) -> None:
    with serving(report.parent, policy) as address:
        _figures_are_readable(open_page(f"{address}report.html").page)


def test_says_in_words_what_is_drawn(report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(report).page
    for plot in page.locator("figure.chart .plot").all():
        label = plot.get_attribute("aria-label")
        assert label
        assert "better" in label or "faster" in label, label
    for caption in page.locator("figcaption").all():
        assert "·" in caption.inner_text(), "unit and direction"
    assert page.locator("html").get_attribute("lang") == "en"
    assert all(button.inner_text().strip() for button in page.locator("main button:visible").all())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"


def test_names_are_text_and_nothing_else(
    simulate: Simulate, tmp_path: Path, open_page: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(simulated.VERSIONS, HOSTILE, HOSTILE)
    backends = (*BACKENDS[:-1], PlannedCell("turbomem", "default", floor=False))
    shape = Shape(HOSTILE, {HOSTILE: HOSTILE, "n": 1}, SHAPES[0].costs)
    other = Shape(HOSTILE, {HOSTILE: "<b>", "n": 2}, SHAPES[1].costs)
    status = {(HOSTILE, "glibc:no-tcache"): ("failed", HOSTILE, HOSTILE)}
    run = simulate(shapes=(shape, other), backends=backends, status=status, digest=HOSTILE)
    path = tmp_path / "report.html"
    write_report(_renamed(run, "dpdk_ring", HOSTILE, tmp_path), path)
    opened = open_page(path)
    opened.draw()
    opened.page.wait_for_timeout(200)
    assert opened.page.evaluate("window.hacked") is None
    assert (opened.requests, opened.complaints) == ([], [])
    assert opened.page.locator("img").count() == 0
    assert opened.page.locator("h1", has_text=HOSTILE).count() >= 2  # the workload, the backend
    assert HOSTILE in opened.page.locator("#overview .matrix").inner_text()
    assert HOSTILE in opened.page.locator("#overview figure .legend").first.inner_text()


def _renamed(run: Run, old: str, new: str, folder: Path) -> Run:
    from allocmark.results.store import read_run

    path = folder / "renamed" / "run.jsonl"
    path.parent.mkdir()
    path.write_bytes(run.path.read_bytes())

    def rename(lines: list[Any]) -> None:
        lines[:] = json.loads(json.dumps(lines).replace(json.dumps(old), json.dumps(new)))

    edit_run(path, rename)
    return read_run(path)


def test_two_runs_worst_first(simulate: Simulate, tmp_path: Path, open_page: Callable[..., Any]) -> None:
    some = {"rounds": 24, "shapes": SHAPES[:3]}
    before = simulate(**some)
    now = simulate(**some, seed=8, scale={"turbomem:default": 1.4, "glibc:default": 0.5})
    path = tmp_path / "report.html"
    write_report(now, path, before=before)
    opened = open_page(path)
    opened.draw()
    found = opened.page.locator("figure[data-kind=sources]")
    rows = [row.locator("td").all_inner_texts() for row in found.locator("tbody tr").all()]
    assert len(rows) == 15
    ratios = [float(row[2]) for row in rows]
    assert ratios == sorted(ratios, reverse=True)
    said = {(row[1], row[4]) for row in rows}
    assert {verdict for name, verdict in said if name == "turbomem"} == {"slower"}
    assert {verdict for name, verdict in said if name == "glibc:default"} == {"faster"}
    assert not {verdict for name, verdict in said if name.startswith("dpdk")} & {"slower", "faster"}
    # The other way round, what was slower is faster.
    for select, option in zip(found.locator("select").all(), (1, 0), strict=True):
        select.select_option(index=option)
    turned = [row.locator("td").all_inner_texts() for row in found.locator("tbody tr").all()]
    assert {row[4] for row in turned if row[1] == "turbomem"} == {"faster"}


def test_two_runs_without_scripts(simulate: Simulate, tmp_path: Path, open_page: Callable[..., Any]) -> None:
    some = {"rounds": 24, "shapes": SHAPES[:3]}
    now = simulate(**some, seed=8, scale={"turbomem:default": 1.4}, skip=1)
    path = tmp_path / "report.html"
    write_report(now, path, before=simulate(**some))
    tables = []
    for scripts in (False, True):
        opened = open_page(path, scripts=scripts)
        if scripts:
            opened.draw()
        rows = opened.page.locator("figure[data-kind=sources] tbody tr").all()
        tables.append([row.locator("td").all_inner_texts() for row in rows])
    assert tables[0] == tables[1], "what the script shows first"
    assert {row[4] for row in tables[0] if row[1] == "turbomem"} == {"slower"}


def test_two_runs_that_cannot_be_compared(simulate: Simulate, tmp_path: Path, open_page: Callable[..., Any]) -> None:
    some = SHAPES[:2]
    now = simulate(shapes=some)
    path = tmp_path / "report.html"
    for before, words in (
        (simulate(shapes=some, machine={"cpu": "another"}), "of different machines"),
        (simulate(shapes=some, digest="d2"), "10 cells in both: 10 cannot tell"),
        (simulate(shapes=SHAPES[:0]), "share no cell"),
    ):
        write_report(now, path, before=before)
        opened = open_page(path)
        opened.draw()
        assert words in opened.page.locator("figure[data-kind=sources] .said").inner_text()


def test_the_script_judges_as_the_library_does(report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(report).page
    rng = random.Random(5)
    asked, expected = [], []
    for _ in range(1000):
        one, two = (_estimate(rng) for _ in range(2))
        margin = rng.choice([stats.MARGIN, stats.UNPAIRED_MARGIN])
        pair = [rng.choice([None, rng.uniform(20, 60)]) for _ in range(2)]
        asked.append([_ends(one), _ends(two), margin, pair, stats.DISTANCE_TOLERANCE])
        ratio = stats.unpaired_ratio(one, two)
        expected.append([ratio and _ends(ratio), stats.verdict(ratio, margin).value, stats.near(*pair), figure(one)])
    found = page.evaluate(
        """asked => asked.map(([one, two, margin, pair, tolerance]) => {
            const ratio = allocmark.unpaired(one, two);
            return [ratio, allocmark.verdict(ratio, margin), allocmark.near(...pair, tolerance), allocmark.fig(one[0])];
        })""",
        asked,
    )
    assert len({verdict for _, verdict, *_ in expected}) == 4, "every verdict is among them"
    for (ratio, *said), (expected_ratio, *expected_said) in zip(found, expected, strict=True):
        assert said == expected_said
        if expected_ratio is not None:  # without one, the script may still give a ratio that has no interval
            assert ratio == pytest.approx(expected_ratio)


def _ends(e: Estimate) -> list[float | None]:
    return [e.value, e.low, e.high] if e.covered else [e.value, None, None]


def _estimate(rng: random.Random) -> Estimate:
    value = rng.choice([1.0, 1.0, 10 ** rng.uniform(-3, 3)]) * rng.uniform(0.98, 1.02)
    width = 10 ** rng.uniform(-4, 0.2)
    return Estimate(value, value * (1 - width), value * (1 + width), 9, rng.random() < 0.9)


def test_every_sample_and_every_figure_is_there(report: Path, small_run: Run, open_page: Callable[..., Any]) -> None:
    opened = open_page(report)
    opened.draw()
    page = opened.page
    shown = page.locator("figure[data-kind=samples] .plot svg [aria-label=dot] > *").count()
    assert shown == sum(len(cell.samples) for case in small_run.cases for cell in case.cells)
    for name in ("burst", "two_cores"):
        rows = page.locator(f"#workload-{name} .chart + .scroll tbody tr").count()
        assert rows == sum(len(g.cells) for g in small_run.cases if small_run.header.plan[g.case].workload == name)
    text = page.locator("#workload-burst").inner_text()
    for words in ("Latency of single calls", "Memory and page kinds", "Memory reused", "mempool_perf_autotest"):
        assert words in text
    assert "burst.yaml" in text
    assert "allocmark run burst two_cores" in page.locator("#method pre").inner_text()
    assert page.locator("#method table").first.locator("tbody tr").count() > 10  # the doctor's findings


def test_what_failed_is_shown_with_its_reason(
    simulate: Simulate, tmp_path: Path, open_page: Callable[..., Any]
) -> None:
    status = {
        (s.workload, "turbomem:default"): ("unavailable", "no huge pages", "echo 64 > nr_hugepages") for s in SHAPES
    }
    path = tmp_path / "report.html"
    write_report(simulate(status=status, finished=5), path)
    page = open_page(path).page
    said = page.locator("#overview .missing").inner_text()
    assert "turbomem unavailable: no huge pages (5 cases)" in said
    assert "echo 64 > nr_hugepages" in said
    assert "5 of 7 cases were measured" in page.locator("#overview .alert").inner_text()


def test_conformance_is_shown(small_run: Run, tmp_path: Path, open_page: Callable[..., Any]) -> None:
    rows = [
        {"backend": "glibc:default", "case": "whole_pool", "verdict": "passed", "why": ""},
        {"backend": "glibc:no_tcache", "case": "whole_pool", "verdict": "failed", "why": "lost an object"},
    ]
    (tmp_path / "conform.json").write_text(json.dumps(rows))
    path = tmp_path / "r.html"
    done = _command(small_run.path, "-o", path, "--conformance", tmp_path / "conform.json")
    assert done.returncode == 0, done.stderr
    section = open_page(path).page.locator("#backend-glibc")
    assert "1 of 2 cases passed, 1 failed" in section.inner_text()
    section.locator("summary", has_text="Its cases").click()
    assert "lost an object" in section.inner_text()


def test_refuses_what_it_cannot_do(small_run: Run, tmp_path: Path) -> None:
    run = small_run.path
    (tmp_path / "bad.json").write_text("{}")
    assert_refused(_command(tmp_path / "nothing"), "not found")
    assert_refused(_command(run, "-o", tmp_path), "is a folder")
    assert_refused(_command(run, "-o", run), "is the run file itself")
    assert_refused(_command(run, "-o", tmp_path / "none" / "r.html"), "there is no folder")
    assert_refused(_command(run, "--baseline", "jemalloc", "-o", tmp_path / "r.html"), "jemalloc", "glibc")
    assert_refused(_command(run, "--conformance", tmp_path / "bad.json"), "bad.json", "allocmark conform")
    assert list(tmp_path.iterdir()) == [tmp_path / "bad.json"]


def test_a_run_without_timings_is_refused(simulate: Simulate, tmp_path: Path) -> None:
    run = simulate()
    edit_run(run.path, lambda lines: lines[0]["settings"].update(verify=True))
    assert_refused(_command(run.path, "-o", tmp_path / "r.html"), "timed nothing", "allocmark show")


def test_a_torn_run_is_shown_and_said(simulate: Simulate, tmp_path: Path) -> None:
    run = simulate()
    data = run.path.read_bytes()
    run.path.write_bytes(data[: len(data) * 2 // 3])
    done = _command(run.path, "-o", tmp_path / "r.html")
    assert done.returncode == 2
    assert "cut off here" in done.stderr
    assert "(cut off here)" in (tmp_path / "r.html").read_text()
