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
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *ROOT.glob("backends/*/*.md"),
    *ROOT.glob("backends/*/*/*.md"),
]
MAKE = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)


def blocks(path: Path, language: str = "") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_exist(path):
    for block in blocks(path):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True) if line.startswith(("allocmark ", ".venv/bin/allocmark ")) else []
            if words:
                _parser().parse_args(words[1:])
            if target := re.match(r"make ([a-z-]+)", line):
                assert target[1] in MAKE


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for target, heading in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?[^)]*\)", path.read_text()):
        if "://" in target:
            continue
        there = path.parent / target if target else path
        assert there.exists(), target
        if heading and there.suffix == ".md":
            assert heading in headings(there), f"{target}#{heading}"


def headings(path: Path) -> set[str]:
    """The anchors that a Markdown viewer gives to the headings of a file."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_documents_that_the_code_refers_to_exist():
    files = [*(ROOT / "suite").rglob("*.py"), *(ROOT / "tools").rglob("*.py"), ROOT / "asv.conf.json"]
    named = {name for path in files for name in re.findall(r"\bdocs/[\w-]+\.md\b", path.read_text())}
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_files_that_are_named_exist(name):
    """What looks like a path in the running text; the architecture names files of the host without its folder."""
    text = re.sub(r"^```.*?^```", "", (ROOT / name).read_text(), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|md|h|toml|yaml))`", text)
    assert found
    host = ROOT / "suite" / "allocmark"
    made = ("build/", ".venv/")  # these are not in a clone
    places = (ROOT, host, host / "engine" / "include" / "allocmark")
    missing = [each for each in found if not each.startswith(made) and not any((p / each).exists() for p in places)]
    assert missing == []


def test_the_workload_of_the_readme_compiles():
    (text,) = blocks(ROOT / "README.md", "yaml")
    cases = Template.parse(text, Path("README.md")).cases()
    assert len(cases) == 4
    for case in cases:
        compile_workload(case.workload, 1)
