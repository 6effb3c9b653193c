# SPDX-License-Identifier: BSD-3-Clause
"""One history for all tests of this folder: what it builds is built once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from histories import History

Track = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Commits: nothing, fast, remark, broken, repaired, slow (twice the cost), news; after fast on a branch: aside."""
    made = History(tmp_path_factory.mktemp("history") / "repository")
    commits = {"nothing": made.commit("no backend yet")}
    made.backend(400)
    commits["fast"] = made.commit("a backend")
    made.git("branch", "aside")
    made.backend(400, "a remark")
    commits["remark"] = made.commit("a remark")
    made.break_build()
    commits["broken"] = made.commit("does not build")
    made.backend(400, "another remark")
    commits["repaired"] = made.commit("builds again")
    made.backend(800, "another remark")
    commits["slow"] = made.commit("twice the work")
    commits["news"] = made.commit("only news")
    made.git("checkout", "-q", "aside")
    commits["aside"] = made.commit("on a branch")
    made.git("checkout", "-q", "main")
    return SimpleNamespace(made=made, folder=made.folder, workload=str(made.workload), **commits)


@pytest.fixture
def track(history: SimpleNamespace) -> Track:
    """Runs ``allocmark track ARGUMENTS`` in the history's repository."""

    def run(*arguments: str, cwd: Path = history.folder, timeout: float = 280) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "allocmark", "track", *arguments],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": ""},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
