# SPDX-License-Identifier: BSD-3-Clause
"""The public names of the headers, as a compiler sees them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from native_programs import ROOT, WARNINGS, run

Node = dict[str, Any]
NAMED = {
    "CXXMethodDecl", "ConceptDecl", "EnumConstantDecl", "EnumDecl", "FieldDecl", "FunctionDecl", "FunctionTemplateDecl",
    "TypeAliasDecl", "TypeAliasTemplateDecl", "TypedefDecl", "VarDecl", "VarTemplateDecl",
}  # fmt: skip
RECORDS = {"CXXRecordDecl", "RecordDecl"}


def public_names(clang: str, source: Path, language: str, only: str) -> set[tuple[str, str]]:
    """(the class or "", a name in it) of everything that `only` is part of the qualified name of."""
    dump = ["-fsyntax-only", "-Xclang", "-ast-dump=json", "-Xclang", f"-ast-dump-filter={only}"]
    text = run(clang, language, *WARNINGS, *dump, source)
    decoder, at, found = json.JSONDecoder(), 0, set[tuple[str, str]]()
    while (at := text.find("{", at)) != -1:
        node, at = decoder.raw_decode(text, at)
        found |= set(walk(node, ""))
    return found


def walk(node: Node, owner: str) -> Iterator[tuple[str, str]]:
    kind, name = node["kind"], node.get("name", "")
    if node.get("isImplicit") or "parentDeclContextId" in node:
        return
    if kind in ("NamespaceDecl", "LinkageSpecDecl"):
        if name != "detail":
            for child in node.get("inner", []):
                yield from walk(child, "")
    elif kind == "ClassTemplateDecl":
        yield from walk(next(c for c in node["inner"] if c["kind"] in RECORDS), owner)
    elif kind in RECORDS and node.get("completeDefinition"):
        if name:
            yield owner, name
        yield from members(node, name or owner)
    # A constructor template is called pool<T>.
    elif kind in NAMED and name and not name.startswith("operator") and "<" not in name:
        yield owner, name
        if kind == "EnumDecl":
            yield from ((name, constant["name"]) for constant in node.get("inner", []) if "name" in constant)


def members(record: Node, owner: str) -> Iterator[tuple[str, str]]:
    public = record.get("tagUsed") == "struct"
    for child in record.get("inner", []):
        if child["kind"] == "AccessSpecDecl":
            public = child["access"] == "public"
        elif public:
            yield from walk(child, owner)


def macros() -> set[str]:
    """TURBOMEM_… that a program may meet: those that the headers ask for, too, but no guards, nor what is undefined."""
    text = "".join(h.read_text() for h in (ROOT / "include" / "turbomem").iterdir())
    return set(re.findall(r"\bTURBOMEM_(?!H\b|PAGES|NUMA)[A-Z_]+\b", text)) - set(re.findall(r"#undef (\w+)", text))
