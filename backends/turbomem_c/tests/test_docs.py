# SPDX-License-Identifier: BSD-3-Clause
"""The pages: the code that they show compiles."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from native_programs import CC, CXX, ROOT, WARNINGS, run

PAGES = [ROOT / "README.md", ROOT / "docs" / "design.md"]
#: what a fence may take for granted
PRELUDE = {
    "cpp": """
#include <turbomem/turbomem.hpp>
#include <array>
#include <chrono>
#include <cstdio>
#include <list>
#include <memory>
#include <memory_resource>
#include <string>
struct packet {
    packet(int length) : bytes(length) {}
    int bytes;
};
[[maybe_unused]] static constexpr int length = 64;
""",
    "c": """
#include <turbomem/turbomem.h>
#include <stdio.h>
""",
}


COMMANDS = {"cpp": [CXX, "-std=c++20"], "c": [CC, "-std=c11"]}


def fences(page: Path, language: str) -> list[tuple[int, str]]:
    """(line, text)"""
    text = page.read_text()
    found = re.finditer(rf"^```{language}\n(.*?)^```", text, re.M | re.S)
    return [(text.count("\n", 0, m.start()) + 2, m[1]) for m in found]


CODE = [(page, language) for page in PAGES for language in COMMANDS if fences(page, language)]


def test_the_readme_shows_both_languages() -> None:
    assert {language for page, language in CODE if page.name == "README.md"} == set(COMMANDS)


@pytest.mark.parametrize(("page", "language"), CODE, ids=[f"{page.name}-{language}" for page, language in CODE])
def test_code_compiles(page: Path, language: str, tmp_path: Path) -> None:
    """Each fence as the body of a function."""
    bodies = [
        f'void at_line_{line}(void);\nvoid at_line_{line}(void) {{\n#line {line} "{page}"\n{text}}}\n'
        for line, text in fences(page, language)
    ]
    source = tmp_path / f"fences.{language}"
    source.write_text(PRELUDE[language] + "".join(bodies))
    run(*COMMANDS[language], "-fsyntax-only", *WARNINGS, source)
