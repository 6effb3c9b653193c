# SPDX-License-Identifier: BSD-3-Clause
"""The guide to backends is followed from its first line to its last: its commands are run, its files are written."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from support import packages_in

GUIDE = Path(__file__).parents[2] / "docs" / "how-do-i-write-a-backend.md"
# A block of commands, or of a file that the line before it names.
BLOCK = re.compile(r"(?:^File `([^`]+)`:\n\n)?^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: What is added to the commands that take longest, by the pattern that they match.
BRIEF = {"--quick$": "--rounds 1 --set bulk=8 --set keep=128", "^allocmark conform": "--budget 1s"}

pytestmark = pytest.mark.timeout(900)


def briefer(line: str) -> str:
    return " ".join([line, *(more for pattern, more in BRIEF.items() if re.search(pattern, line))])


def script(text: str) -> str:
    """What a reader types, in Bash."""
    lines = ["set -eu"]
    for file, language, block in BLOCK.findall(text):
        if file:
            lines.append(f"cat >{file} <<'END'\n{block}END")
        elif not language:
            lines += map(briefer, block.splitlines())
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """The guide, once followed."""
    folder = tmp_path_factory.mktemp("guide")
    return subprocess.run(
        ["bash", "-c", script(GUIDE.read_text())],
        cwd=folder,
        env=packages_in(folder / "packages"),
        capture_output=True,
        text=True,
        timeout=880,
        check=False,
    )


def test_every_command_of_the_guide_succeeds(followed):
    assert followed.returncode == 0, followed.stdout[-3000:] + followed.stderr[-3000:]


@pytest.mark.parametrize("name", ["mypool", "mypmr", "mymalloc"])
def test_each_backend_of_the_guide_passes_the_kit_and_is_measured(followed, name):
    assert re.search(rf"^{name}:default passed \d+ of 31 cases", followed.stdout, re.MULTILINE), followed.stdout
    assert re.search(rf"^ .*\b{name}\b", followed.stdout, re.MULTILINE), followed.stdout
