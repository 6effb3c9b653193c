# SPDX-License-Identifier: BSD-3-Clause
"""A real browser with the network cut off, and a real run to look at."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import COMMAND

from allocmark.errors import AllocmarkError
from allocmark.run.store import Run, read_run
from allocmark.site.assets import asset

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCREENSHOTS = Path(__file__).parents[3] / "build" / "screenshots"


@dataclass
class Opened:
    """A page, what it asked for beside its own files, and what its console complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def draw(self) -> None:
        """Draw every chart, as printing does."""
        self.page.evaluate("dispatchEvent(new Event('beforeprint'))")

    def shoot(self, name: str) -> None:
        """Keep a picture of the whole page, to be looked at."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium of the system, headless."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright: pages are not looked at")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("apt-get install chromium: pages are not looked at")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """``open_page(path or address, width=1280, dark=False)``: files and loopback are reached, nothing else."""
    contexts = []

    def start(where: Path | str, width: int = 1280, dark: bool = False) -> Opened:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", reduced_motion="reduce"
        )
        contexts.append(context)
        opened = Opened(context.new_page())
        address = where.resolve().as_uri() if isinstance(where, Path) else where
        local = ("file://", "data:") if isinstance(where, Path) else ("data:", "/".join(address.split("/")[:3]) + "/")

        def watch(route: object) -> None:
            url = route.request.url  # type: ignore[attr-defined]
            if url.startswith(local):
                route.continue_()  # type: ignore[attr-defined]
            else:
                opened.requests.append(url)
                route.abort()  # type: ignore[attr-defined]

        context.route("**/*", watch)
        page = opened.page
        page.on("console", lambda said: said.type in ("error", "warning") and opened.complaints.append(said.text))
        page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        page.goto(address)
        return opened

    yield start
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def scripts() -> None:
    """The plotting scripts, which are fetched and not committed."""
    try:
        asset("plot.umd.min.js")
    except AllocmarkError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of every kind of figure: two workloads, one of them on two cores, two variants of one allocator."""
    folder = tmp_path_factory.mktemp("small") / "run"
    words = ["run", "burst", "cross_core_free", "-b", "glibc", "-b", "glibc:no_tcache", "--short", "--no-pin"]
    asked = [*COMMAND, *words, "--blocks", "9", "--sample-ms", "1", "-o", str(folder)]
    done = subprocess.run(asked, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return read_run(folder)
