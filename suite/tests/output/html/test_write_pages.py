# SPDX-License-Identifier: BSD-3-Clause
"""Our pages as a site: from disk, and below any path of a web server."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocmark.asv.history import Commit, History, LevelStep, Point, Series
from allocmark.output.html import build_site
from allocmark.output.html.write_pages import slugs
from allocmark.results.store import Run
from fixtures.browser import serving
from fixtures.simulated import written

pytestmark = pytest.mark.usefixtures("scripts")

COMMITS = 30
STEP = 20  # the commit that made turbomem slower


def _history() -> History:
    rng = random.Random(3)
    commits = tuple(
        Commit(
            f"{i:02d}" + "ab" * 19, f"2026-01-{i + 1:02d}T10:00:00Z", f"Change <b>{i}</b>", f"https://example.org/{i}"
        )
        for i in range(COMMITS)
    )
    series = []
    for backend, variant in (("turbomem", "default"), ("glibc", "default")):
        for burst in (1, 32):
            after = 1.2 if backend == "turbomem" else 1.0
            values = [2 * (after if i >= STEP else 1) * math.exp(rng.gauss(0, 0.01)) for i in range(COMMITS)]
            points = tuple(Point(i, v, v * 0.98, v * 1.02, 10) for i, v in enumerate(values))
            steps = (LevelStep(STEP, 2.0, 2.4),) if backend == "turbomem" else ()
            parameters = {"burst": burst}
            series.append(Series("burst", "time_object", parameters, backend, variant, "ns/object", "1", points, steps))
    return History("box", {}, commits, tuple(series), ("a result of commit 7 is damaged: left out",))


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


def _links(page: Path) -> list[str]:
    parser = _Links()
    parser.feed(page.read_text(encoding="utf-8"))
    return [link for link in parser.found if not link.startswith(("data:", "https://example.org/", "#"))]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    runs = [
        _dated(written(folder / f"{seed}", seed=seed, noise=0.02), f"2026-0{seed}-01T00:00:00+00:00", f"run{seed}")
        for seed in (1, 3, 2)
    ]
    build_site(runs, folder / "site", history=[_history()], asv="asv.html", notes=["machine <x> is not known"])
    (folder / "site/asv.html").write_text("")
    return folder / "site"


def _dated(run: Run, created: str, name: str) -> Run:
    from dataclasses import replace

    return replace(run, header=replace(run.header, created=created, id=name))


def test_what_is_written(site: Path) -> None:
    pages = {str(path.relative_to(site)) for path in site.rglob("*.html")}
    assert pages == {
        "asv.html", "index.html", "comparison.html", "method.html",
        "workload/burst.html", "workload/mixed_sizes.html", "workload/cross_core_free.html",
        "backend/null.html", "backend/glibc.html", "backend/dpdk_ring.html", "backend/turbomem.html",
        "run/run1.html", "run/run2.html",
    }  # fmt: skip
    assert "Observable" in (site / "assets/LICENSES.txt").read_text()
    assert 'href="../assets/LICENSES.txt"' in (site / "run/run1.html").read_text()
    assert (site / "index.html").stat().st_size < 1_000_000


def test_every_link_is_relative_and_resolves(site: Path) -> None:
    for page in site.rglob("*.html"):
        for link in _links(page):
            target = (page.parent / link.partition("#")[0]).resolve()
            assert target.is_file(), f"{page.relative_to(site)}: {link}"
            assert target.is_relative_to(site.resolve()), f"{page.relative_to(site)}: {link}"


def test_every_page_draws(site: Path, open_page: Callable[..., Any]) -> None:
    for page in sorted(site.rglob("*.html")):
        name = str(page.relative_to(site))
        if name == "asv.html":
            continue
        opened = open_page(page)
        opened.draw()
        assert (opened.requests, opened.complaints) == ([], []), name
        for plot in opened.page.locator("figure.chart .plot").all():
            assert plot.locator("svg").locator("circle, path, rect, line").count() > 0, name
        assert opened.page.locator("nav [aria-current=page]").count() == (0 if name.startswith("run/") else 1)
        opened.shoot(f"site-{name.removesuffix('.html').replace('/', '-')}")
        opened.page.close()


def test_pages_fit_a_phone(site: Path, open_page: Callable[..., Any]) -> None:
    for name in ("index", "workload/burst", "backend/turbomem", "comparison", "method"):
        opened = open_page(site / f"{name}.html", width=360)
        opened.draw()
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= 360, name
        opened.shoot(f"site-{name.replace('/', '-')}-360")


def test_a_strict_server_is_no_hindrance(site: Path, open_page: Callable[..., Any]) -> None:
    """Below a path, as hosts of project pages have a site."""
    with serving(site.parent, "script-src 'self'; style-src 'self'") as address:
        for name in ("index", "workload/burst", "backend/turbomem", "comparison", "run/run1"):
            opened = open_page(f"{address}site/{name}.html")
            opened.draw()
            assert (opened.requests, opened.complaints) == ([], []), name
            assert all(plot.locator("svg").count() for plot in opened.page.locator(".plot").all()), name
            assert opened.page.locator(".undrawn").count() == 0


def test_without_scripts_the_history_is_a_table(site: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(site / "backend/turbomem.html", scripts=False).page
    table = page.locator("figure[data-kind=history] details table")
    assert table.locator("th").all_inner_texts() == ["commit", "burst=1", "burst=32"]
    assert table.locator("tbody tr").count() == COMMITS
    assert f"Change <b>{COMMITS - 1}</b>" in table.locator("tbody tr").first.inner_text()


def test_the_newest_run_is_the_overview(site: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(site / "index.html").page
    text = page.locator("main").inner_text()
    assert "run3" in text
    assert "machine <x> is not known" in text
    assert "a result of commit 7 is damaged: left out" in text
    page.get_by_role("link", name="2026-02-01 00:00 · run2").click()
    page.wait_for_url("**/run/run2.html")
    assert "run2" in page.locator("#overview .facts").inner_text()
    page.get_by_role("link", name="newest run").click()
    page.wait_for_url("**/index.html")
    page.locator("nav").get_by_role("link", name="turbomem", exact=True).click()
    page.wait_for_url("**/backend/turbomem.html")
    assert page.locator("h1").inner_text().startswith("turbomem")


def test_history_shows_its_steps(site: Path, open_page: Callable[..., Any]) -> None:
    opened = open_page(site / "backend/turbomem.html")
    opened.draw()
    figure = opened.page.locator("figure[data-kind=history]")
    assert figure.count() == 1
    assert figure.locator("h5").all_inner_texts() == ["burst=1", "burst=32"]
    assert figure.locator("[aria-label=dot] a").count() == 2 * COMMITS
    assert figure.locator("[aria-label=dot] a").nth(STEP).get_attribute("href") == f"https://example.org/{STEP}"
    assert figure.locator("svg", has_text="+20%").count() == 2
    figure.locator("summary").click()
    row = figure.locator("tbody tr").first
    assert row.locator("a").get_attribute("href") == f"https://example.org/{STEP}"
    assert f"Change <b>{STEP}</b>" in row.inner_text()
    assert "+20.0%" in row.inner_text()
    assert figure.locator("a", has_text="in asv").get_attribute("href") == "../asv.html#burst.time_object"
    quiet = open_page(site / "backend/glibc.html").page.locator("figure[data-kind=history]")
    assert quiet.locator("table").count() == 1, "the figures; no step, no table of steps"


def test_any_two_can_be_compared(site: Path, open_page: Callable[..., Any]) -> None:
    opened = open_page(site / "comparison.html")
    opened.draw()
    figure = opened.page.locator("figure[data-kind=sources]")
    now, before = figure.locator("select").all()
    options = now.locator("option").all_inner_texts()
    assert options[:3] == ["2026-03-01 00:00 · run3", "2026-02-01 00:00 · run2", "2026-01-01 00:00 · run1"]
    assert len(options) == 3 + COMMITS
    assert figure.locator("tbody tr").count() == 35
    now.select_option(index=3)  # the newest commit
    assert "different machines" in figure.locator(".said").inner_text()
    before.select_option(index=3 + COMMITS - 1)  # the oldest
    assert "4 cells in both: 2 slower" in figure.locator(".said").inner_text()
    slower = figure.locator("tbody tr", has_text="slower").all_inner_texts()
    assert len(slower) == 2
    assert all("turbomem" in row for row in slower)


def test_runs_at_different_speeds_are_not_compared(
    simulate: Callable[..., Run], tmp_path: Path, open_page: Callable[..., Any]
) -> None:
    speeds = {1: 18.0, 2: 34.0, 3: 19.0}
    runs = [
        _dated(simulate(seed=seed, pace=pace), f"2026-0{seed}-01T00:00:00+00:00", f"run{seed}")
        for seed, pace in speeds.items()
    ]
    build_site(runs, tmp_path)
    page = tmp_path / "comparison.html"
    assert "CPU speed changed" in page.read_text(encoding="utf-8")  # the newest two, without scripts
    opened = open_page(page)
    opened.draw()
    figure = opened.page.locator("figure[data-kind=sources]")
    said, (_, before) = figure.locator(".said"), figure.locator("select").all()
    assert re.fullmatch(r"(\d+) cells in both: \1 cannot tell\.", said.inner_text())
    before.select_option(index=2)  # as fast as the newest
    assert "CPU speed changed" not in figure.inner_text()


def test_history_without_a_run(tmp_path: Path, open_page: Callable[..., Any]) -> None:
    build_site([], tmp_path, history=[_history()])
    opened = open_page(tmp_path / "index.html")
    assert "No run is published here" in opened.page.locator("main").inner_text()
    newest, steps = opened.page.locator("table").all()
    assert f"Change <b>{COMMITS - 1}</b>, on" in newest.locator("caption").inner_text()
    assert newest.locator("tbody tr").count() == 2
    assert steps.locator("tbody tr").count() == 2
    assert f"Change <b>{STEP}</b>" in steps.locator("tbody tr").first.inner_text()
    assert "+20.0" in steps.locator("tbody tr").first.inner_text()
    opened.page.get_by_role("link", name="turbomem", exact=True).click()
    opened.page.locator("figure[data-kind=history] svg").first.wait_for()
    assert opened.complaints == []
    assert all((page.parent / link).resolve().is_file() for page in tmp_path.rglob("*.html") for link in _links(page))


def test_nothing_at_all(tmp_path: Path, open_page: Callable[..., Any]) -> None:
    assert build_site([], tmp_path) == [tmp_path / "index.html"]
    opened = open_page(tmp_path / "index.html")
    assert "allocmark run" in opened.page.locator("main").inner_text()
    assert opened.complaints == []


def test_the_same_runs_give_the_same_pages(simulate: Callable[..., Run], tmp_path: Path) -> None:
    run = simulate()
    for name in ("one", "two"):
        build_site([run], tmp_path / name, history=[_history()])
    for page in (tmp_path / "one").rglob("*.html"):
        assert page.read_bytes() == (tmp_path / "two" / page.relative_to(tmp_path / "one")).read_bytes()


def test_a_run_given_twice_is_one(simulate: Callable[..., Run], tmp_path: Path) -> None:
    run = simulate()
    build_site([run, run], tmp_path)
    assert not (tmp_path / "run").exists()


@given(st.lists(st.text(max_size=12), unique=True, max_size=12))
def test_slugs_are_plain_and_unlike(names: list[str]) -> None:
    found = slugs(names)
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    assert all(slug and set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_") for slug in found.values())


def test_slugs() -> None:
    assert slugs(["burst", "../etc/passwd", "a b", "A-B", "<>"]) == {
        "burst": "burst", "../etc/passwd": "etc-passwd", "a b": "a-b", "A-B": "a-b-2", "<>": "unnamed",
    }  # fmt: skip
