# SPDX-License-Identifier: BSD-3-Clause
"""The reference documentation: every public name is in it, and what it shows compiles."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from native_programs import CC, CXX, ROOT, WARNINGS, run
from public_names import macros, public_names

DOCS = ROOT / "docs"
PAGES = [DOCS / "reference.md", DOCS / "design.md", ROOT / "README.md"]
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


def sections() -> list[set[str]]:
    """The words in code of each section, that is, from one heading to the next."""
    parts = re.split(r"^#+ ", (DOCS / "reference.md").read_text(), flags=re.M)
    code = r"```\w+\n(.*?)```|`([^`]+)`"
    return [{word for c in re.findall(code, part, re.S) for word in re.findall(r"\w+", "".join(c))} for part in parts]


def missing(names: set[tuple[str, str]]) -> list[str]:
    """Those that no section has, together with the class that they are in."""
    parts = sections()
    return sorted(f"{o}::{n}" for o, n in names if not any(n in p and (not o or o in p) for p in parts))


def test_every_public_name_is_in_the_reference(tmp_path: Path) -> None:
    if shutil.which("clang++") is None:
        pytest.skip("clang++ is not installed: apt install clang")
    cpp, c = tmp_path / "all.cpp", tmp_path / "all.c"
    cpp.write_text('#include "turbomem/turbomem.hpp"\n')
    c.write_text('#include "turbomem/turbomem.h"\n')
    found = public_names("clang++", cpp, "-std=c++20", "turbomem")
    assert {("pool", "enter"), ("operations", "try_allocate"), ("misuse_kind", "double_free")} <= found
    assert not {("pool", "take"), ("cache", "get_slowly"), ("pool", "fit")} & found
    found_c = public_names("clang", c, "-std=c11", "turbomem")
    assert {("", "turbomem_create"), ("turbomem_options", "one_node")} <= found_c
    assert missing(found) == []
    assert missing(found_c) == []
    assert missing({("", name) for name in macros()}) == []


def test_a_name_that_is_not_there_is_missed() -> None:
    assert missing({("pool", "enter"), ("pool", "region_of"), ("", "no_such_name")}) == [
        "::no_such_name",
        "pool::region_of",
    ]


COMMANDS = {"cpp": [CXX, "-std=c++20"], "c": [CC, "-std=c11"]}


def fences(page: Path, language: str) -> list[tuple[int, str]]:
    """(line, text)"""
    text = page.read_text()
    found = re.finditer(rf"^```{language}\n(.*?)^```", text, re.M | re.S)
    return [(text.count("\n", 0, m.start()) + 2, m[1]) for m in found]


CODE = [(page, language) for page in PAGES for language in COMMANDS if fences(page, language)]


def test_the_pages_show_both_languages() -> None:
    assert {(page.name, language) for page, language in CODE} >= {
        (name, language) for name in ("reference.md", "README.md") for language in COMMANDS
    }


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


def test_pages_link_each_other_and_what_is_there() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
    readme = (ROOT / "README.md").read_text()
    assert "(docs/reference.md)" in readme
    assert "(docs/design.md)" in readme


def test_links_within_the_reference_lead_somewhere() -> None:
    text = (DOCS / "reference.md").read_text()
    headings = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)}
    assert set(re.findall(r"\]\(#([\w-]+)\)", text)) <= headings
