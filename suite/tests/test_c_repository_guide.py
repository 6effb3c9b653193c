# SPDX-License-Identifier: BSD-3-Clause
"""The guide for repositories without Python is followed from its first line to its last, on a throw-away repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fixtures.c_repository import CRepository

pytest.importorskip("asv")
pytestmark = [pytest.mark.long, pytest.mark.alone, pytest.mark.timeout(3000)]

GUIDE = Path(__file__).parents[2] / "docs" / "how-do-i-track-a-c-repository.md"
BLOCK = re.compile(r"(?:^File `([^`]+)`:\n\n)?^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BRIEF = "--set bulk=8 --set keep=128"  #: is added to what is measured
STATUS = {"allocmark track gate HEAD~5 HEAD --limit 50": 1}  #: of commands that do not end with 0


def commands(text: str) -> list[str]:
    """What a reader types, in Bash."""
    typed = []
    for file, language, block in BLOCK.findall(text):
        if file:
            typed.append(f"cat >{file} <<'END'\n{block}END")
        elif not language:
            typed += block.splitlines()
    return typed


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[CRepository, dict[str, str], dict[str, str]]:
    """The repository after the guide, its commits, and what each command printed."""
    made = CRepository(tmp_path_factory.mktemp("guide") / "pool with späces")
    commits = made.grow()
    bin_folder = Path(sys.executable).parent
    environ = {**os.environ, "HOME": str(made.folder.parent), "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    said = {}
    for line in commands(GUIDE.read_text()):
        if line.startswith("pip install"):
            continue  # it is
        typed = f"{line} {BRIEF}" if "track gate" in line or "track bisect" in line else line
        if line.startswith("allocmark track run"):
            typed += " -- --attribute rounds=2"
        done = subprocess.run(
            ["bash", "-c", typed],
            cwd=made.folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=1500,
            check=False,
        )
        assert done.returncode == STATUS.get(line, 0), f"{typed}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        said[line] = done.stdout
    return made, commits, said


def test_the_slow_commit_is_gated_and_named(followed):
    _, commits, said = followed
    (row,) = [
        line for line in said["allocmark track gate HEAD~5 HEAD --limit 50"].splitlines() if "pool:default" in line
    ]
    assert "slower" in row
    bisected = said["allocmark track bisect HEAD~5 HEAD --limit 50"]
    assert f"first slow commit: {commits['slow'][:10]} search for the best fit" in bisected


def test_its_history_is_stored_compared_and_published(followed):
    made, commits, said = followed
    names = {file.name.split("-")[0] for file in made.folder.glob(".asv/results/*/*.json") if "-" in file.name}
    assert names == {commits[each][:8] for each in ("version2", "slow", "version4", "version5")}
    assert "burst.time_object" in said["allocmark track compare HEAD~3 HEAD"]
    assert "search for the best fit" in (made.folder / ".asv/html/backend/pool.html").read_text()
    assert commits["version5"][:8] in (made.folder / ".asv/html/index.html").read_text()
    assert made.git("status", "--porcelain").split() == ["??", ".github/", "??", "allocmark.toml", "??", "gate.md"]


def test_the_workflow_gates_as_the_guide_says(followed):
    """Its own shell commands, on a merge as GitHub makes it."""
    made, _, _ = followed
    workflow = yaml.safe_load((made.folder / ".github/workflows/gate.yml").read_text())
    (gate,) = [step["run"] for step in workflow["jobs"]["gate"]["steps"] if step.get("name") == "gate"]
    made.git("checkout", "-q", "--detach", "HEAD~1")
    made.git("merge", "-q", "--no-ff", "-m", "as GitHub merges", "main")
    summary = made.folder.parent / "summary"
    environ = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GITHUB_STEP_SUMMARY": str(summary),
    }
    done = subprocess.run(["bash", "-e", "-c", gate], cwd=made.folder, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert summary.read_text().startswith("### allocmark gate: Passed")
