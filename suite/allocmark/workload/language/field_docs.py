# SPDX-License-Identifier: BSD-3-Clause
"""What the source says of a model's fields: the text below each. Read when the JSON schema is asked for: that takes
longer than all else that a command imports."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from textwrap import dedent


def field_docs(model: type) -> dict[str, str]:
    """By field, those of the model and of what it is made from."""
    docs: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if each.__module__.startswith(f"{__package__}."):
            docs |= _own(each)
    return docs


def _own(model: type) -> dict[str, str]:
    (definition,) = ast.parse(dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }
