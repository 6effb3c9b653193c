# SPDX-License-Identifier: BSD-3-Clause
"""What the documentation tells people to type exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from allocmark.cli import _parser
from allocmark.workload.language.expand import Template
from allocmark.workload.tape.compile import compile_workload

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(ROOT / "docs").rglob("*.md"),
    *ROOT.glob("backends/*/*.md"),
]
MAKE = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)


def blocks(path: Path, language: str = "") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_exist(path):
    for block in blocks(path):
        for line in block.splitlines():
            words = shlex.split(line, comments=True) if line.startswith(("allocmark ", ".venv/bin/allocmark ")) else []
            if words:
                _parser().parse_args(words[1:])
            if target := re.match(r"make ([a-z-]+)", line):
                assert target[1] in MAKE


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_the_workload_of_the_readme_compiles():
    (text,) = blocks(ROOT / "README.md", "yaml")
    cases = Template.parse(text, Path("README.md")).cases()
    assert len(cases) == 4
    for case in cases:
        compile_workload(case.workload, 1)
