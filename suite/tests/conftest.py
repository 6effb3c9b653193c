# SPDX-License-Identifier: BSD-3-Clause
"""What many tests share: the command as a user runs it, and plugins as if they were installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import hypothesis
import pytest

# Fixtures of several folders.
from fixtures.browser import browser, open_page, scripts, small_run  # noqa: F401
from fixtures.huge_pages import hugetlb, thp  # noqa: F401
from fixtures.mutants import build_mutants
from fixtures.simulated import simulate  # noqa: F401
from fixtures.tracked import history, track  # noqa: F401

# Tests run side by side: how long one example takes says nothing.
hypothesis.settings.register_profile("side by side", deadline=None)
hypothesis.settings.load_profile("side by side")

COMMAND = [sys.executable, "-m", "allocmark"]


@pytest.fixture(autouse=True, scope="session")
def own_state(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What commands keep of this machine is not mixed with what people keep of it."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session")
def mutants(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that makes the plugin ``mutant`` importable."""
    return build_mutants(tmp_path_factory.mktemp("mutants"))


Runner = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def allocmark_command(tmp_path: Path) -> Runner:
    """Runs ``allocmark ARGUMENTS`` in an empty folder, or another; ``plugins`` are folders on the path."""

    def run(
        *arguments: str | Path, plugins: Sequence[Path] = (), cwd: Path = tmp_path, timeout: float = 240
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, plugins))},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
