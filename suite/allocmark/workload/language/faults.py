# SPDX-License-Identifier: BSD-3-Clause
"""What pydantic found wrong, as one line in the file's terms: where, what was found, what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from allocmark.workload.language.load import Key, LineError, List, Map, has, line_of
from allocmark.workload.language.words import show

_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list",
}


def first_fault(error: ValidationError, tree: Map, path: Path | str) -> LineError:
    """The fault that stands first in the file; ``tree`` is what was validated."""
    return min((_located(each, tree, path) for each in error.errors()), key=lambda fault: fault.line)


def _located(fault: Any, tree: Map, path: Path | str) -> LineError:
    context = fault.get("ctx", {})
    where = [*fault["loc"], *context.get("at", ())]
    line = line_of(tree, where)
    text = _text(fault["type"], fault["input"], context, fault)
    return LineError(path, line, f"{_dotted(tree, where)}{text}")


def _text(kind: str, found: Any, context: dict[str, Any], fault: Any) -> str:
    if kind == "refused":
        return str(context["text"])
    if kind == "missing":
        key = fault["loc"][-1]
        return f"found {key} entries; expected more" if isinstance(key, int) else f"found no {key!r}; expected it"
    if kind in _TYPES:
        return f"found {show(found)}; expected {_TYPES[kind]}"
    if kind in ("greater_than_equal", "greater_than"):
        least = f"at least {_number(context['ge'])}" if "ge" in context else f"more than {context['gt']:g}"
        return f"found {show(found)}; expected {least}"
    if kind == "less_than_equal":
        return f"found {show(found)}; expected at most {_number(context['le'])}"
    if kind == "literal_error":
        return f"found {show(found)}; expected {context['expected']}"
    if kind == "string_pattern_mismatch" and context["pattern"] == r"\S":
        return f"found {show(found)}; expected some text"
    if kind in ("string_pattern_mismatch", "string_too_long"):
        return f"found {show(found)}; expected a name: a-z, then a-z, 0-9 or _, at most 32 characters"
    if kind in ("too_short", "too_long"):
        count = context["actual_length"]
        if "min_length" in context:
            return f"found {count} entries; expected at least {context['min_length']}"
        return f"found more than {context['max_length']} entries; expected at most so many"
    return f"found {show(found)}; {fault['msg']}"


def _number(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else str(bound)


def _dotted(tree: Map, where: list[Key]) -> str:
    """``actors.rx[0].get.n: ``, of those parts that the file has: pydantic adds names of its own models."""
    node: Any = tree
    text = ""
    for part in where:
        if has(node, part):
            text += f"[{part}]" if isinstance(node, List) else f".{part}"
            node = node[part]
    return f"{text[1:]}: " if text else ""
