# SPDX-License-Identifier: BSD-3-Clause
"""A name has one meaning: no two modules and no two classes of the host share one."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import allocmark

PACKAGE = Path(allocmark.__file__).parent
#: A command's file is named as the command, which may be the name of what it shows.
COMMANDS = PACKAGE / "cli"


def _twice(names: Iterable[str]) -> list[str]:
    return sorted(name for name, times in Counter(names).items() if times > 1)


def test_no_two_modules_share_a_name() -> None:
    files = [file for file in PACKAGE.rglob("*.*") if file.suffix in (".py", ".cpp", ".hpp", ".h", ".html")]
    assert _twice(file.name for file in files if file.stem != "__init__" and file.parent != COMMANDS) == []


def test_no_two_classes_share_a_name() -> None:
    trees = [ast.parse(file.read_text()) for file in PACKAGE.rglob("*.py")]
    classes = [node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert _twice(name for name in classes if not name.startswith("_")) == []
