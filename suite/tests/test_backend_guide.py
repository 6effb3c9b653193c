# SPDX-License-Identifier: BSD-3-Clause
"""The guide to backends is followed from its first line to its last: its commands are run, its files are written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "how-do-i-write-a-backend.md"
# A block of commands, or of a file that the line before it names.
BLOCK = re.compile(r"(?:^File `([^`]+)`:\n\n)?^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BRIEF = "--rounds 2 --blocks 2"  #: is added to what is measured


def script(text: str) -> str:
    """What a reader types, in Bash."""
    lines = ["set -eu"]
    for file, language, block in BLOCK.findall(text):
        if file:
            lines.append(f"cat >{file} <<'END'\n{block}END")
        elif not language:
            lines += [f"{line} {BRIEF}" if line.endswith("--quick") else line for line in block.splitlines()]
    return "\n".join(lines) + "\n"


def folder_of_packages(folder: Path) -> dict[str, str]:
    """The environment in which ``pip install -e .`` installs into ``folder``, quickly and without a network."""
    folder.mkdir()
    # What is installed editable is named by .pth files, which Python reads in the folders of an environment only.
    (folder / "sitecustomize.py").write_text(f"import site\nsite.addsitedir({str(folder)!r})\n")
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "PIP_TARGET": str(folder),
        "PIP_NO_BUILD_ISOLATION": "0",  # as --no-build-isolation
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """The guide, once followed."""
    folder = tmp_path_factory.mktemp("guide")
    return subprocess.run(
        ["bash", "-c", script(GUIDE.read_text())],
        cwd=folder,
        env=folder_of_packages(folder / "packages"),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_every_command_of_the_guide_succeeds(followed):
    assert followed.returncode == 0, followed.stdout[-3000:] + followed.stderr[-3000:]


def test_each_backend_of_the_guide_is_found_and_works(followed):
    for name in ("mypool", "mypmr", "mymalloc"):
        assert re.search(rf"^ .*\b{name}\b", followed.stdout, re.MULTILINE), followed.stdout
