# SPDX-License-Identifier: BSD-3-Clause
"""asv's own page in a real browser that reaches nothing but the site, which lies under a path of a static server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from allocmark.asv.publish_site import publish
from fixtures import synthetic
from fixtures.browser import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a published site of 24 commits with a planted slowdown."""
    root = tmp_path_factory.mktemp("served")
    synthetic.project(root / "project", 24)
    publish(root / "project/asv.conf.json", root / "www/some/path")

    with serving(root / "www") as address:
        yield f"{address}some/path/"


@pytest.fixture
def page(browser: Browser, served: str) -> Iterator[Page]:
    """A page that may load from ``served`` only; a request elsewhere, an error or a warning fails the test."""
    page = browser.new_page()
    troubles: list[str] = []

    def decide(route: Any) -> None:
        if route.request.url.startswith(served):
            route.continue_()
        else:
            troubles.append(f"asks for {route.request.url}")
            route.abort()

    page.route("**/*", decide)
    page.on("console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("response", lambda response: troubles.append(response.url) if response.status >= 400 else None)
    yield page
    page.close()
    assert troubles == []


def test_the_grid_has_a_plot_a_benchmark(page: Page, served: str) -> None:
    page.goto(served + "asv.html")
    plots = page.locator("#summarygrid-display canvas.flot-base")
    plots.nth(len(synthetic.WORKLOADS) - 1).wait_for()  # they come one by one
    assert plots.count() == len(synthetic.WORKLOADS)


def test_a_benchmark_has_a_line_a_backend(page: Page, served: str) -> None:
    page.goto(served + "asv.html#burst.time_object")
    page.wait_for_selector("#main-graph canvas.flot-base")
    page.wait_for_selector(".legendLabel")
    labels = page.locator(".legendLabel").all_inner_texts()
    for backend in synthetic.BACKENDS:
        assert any(backend in label for label in labels), backend


def test_regressions_are_listed_and_can_be_sorted(page: Page, served: str) -> None:
    page.goto(served + "asv.html#regressions")
    page.wait_for_selector("#regressions-body table tbody tr")
    rows = page.locator("#regressions-body table tbody tr")
    assert rows.count() == 6  # three workloads, two values of bulk
    assert all(synthetic.SLOWED in text for text in rows.all_inner_texts())
    page.get_by_role("columnheader", name="Benchmark").click()
    page.wait_for_url("**dir=asc")
    names = [text.split("(")[0] for text in rows.all_inner_texts()]
    assert names == sorted(names)
    assert len(set(names)) == 3


def test_without_scripts_it_leads_to_our_pages(browser: Browser, served: str) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(served + "asv.html")
    page.locator("noscript").get_by_role("link", name="overview").click()
    page.wait_for_url(served + "index.html")
    page.close()


def test_the_way_to_our_pages_and_back(page: Page, served: str) -> None:
    page.goto(served + "asv.html")
    page.get_by_role("link", name="Overview").click()
    page.wait_for_url(served + "index.html")
    page.locator("a[href='asv.html']").first.click()
    page.wait_for_url(served + "asv.html*")
    page.wait_for_selector("canvas.flot-base")
