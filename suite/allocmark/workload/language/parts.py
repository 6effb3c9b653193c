# SPDX-License-Identifier: BSD-3-Clause
"""What the models of the language share: mappings that know their line, `$name`, ``{kind: content}``, and errors.

pydantic validates; `first_fault` says what it found in the file's terms: where, what was found, what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from allocmark.errors import show, unknown
from allocmark.workload.language.field_docs import field_docs
from allocmark.workload.language.load import Key, LineError, List, Map, has, line_of

NAME = r"^[a-z][a-z0-9_]*$"
VARIABLE = re.compile(r"\$([a-z][a-z0-9_]*)")


def refuse(text: str, *at: int | str) -> PydanticCustomError:
    """An error with a text of its own; ``at`` leads from the validated value to the part that is wrong."""
    return PydanticCustomError("refused", "{text}", {"text": text, "at": at})


def unknown_word(what: str, name: object, possible: Iterable[object]) -> str:
    """What is said of a word that the language does not have: the ones that it has, and where they are explained."""
    return f"{unknown(what, name, possible)} (docs/how-do-i-write-a-workload.md explains them)"


class OrVariable:
    """In the JSON schema: the value may also be the `$name` of a sweep variable, replaced before validation."""

    pattern = f"^{VARIABLE.pattern}$"

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        either = schema.get("anyOf") or schema.get("oneOf") or [schema]
        return {"anyOf": [*either, {"type": "string", "pattern": self.pattern}]}


class OrName(OrVariable):
    """In the JSON schema: the value may also be a name or a `$name`."""

    pattern = r"^\$?[a-z][a-z0-9_]*$"


class OrItem:
    """In the JSON schema: the value may also be a single item of the list."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        return {"anyOf": [schema, schema["items"]]}


Name = Annotated[str, Field(pattern=NAME, max_length=32)]
Reference = Annotated[str, Field(pattern=NAME, max_length=32), OrVariable()]


class Part(BaseModel):
    """A closed mapping of the file. ``line`` is where it stands, or 0 when it was made in Python."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        defer_build=True,  # most models are only parts of others: building each alone doubles the import time
    )

    whole: ClassVar[str | None] = None  #: a value that is not a mapping is short for ``{whole: value}``
    _line: int = PrivateAttr(default=0)

    @property
    def line(self) -> int:
        return self._line

    def __eq__(self, other: object) -> bool:
        """The same content; the line does not count."""
        return isinstance(other, type(self)) and self.__dict__ == other.__dict__

    @classmethod
    def allowed(cls) -> dict[str, str]:
        """The keys that a file may use, each with the field it fills."""
        return {str(field.validation_alias or name): name for name, field in cls.model_fields.items()}

    @model_validator(mode="wrap")
    @classmethod
    def _from_file(cls, value: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        line = getattr(value, "line", 0)
        if isinstance(value, Keyed):
            value = value.content
        if cls.whole is not None and not isinstance(value, dict | cls):
            value = {cls.whole: value}
        if isinstance(value, Map):
            for key in value:
                if key not in cls.allowed():
                    raise refuse(unknown_word("key", key, cls.allowed()), key)
        part = handler(value)
        part._line = line
        return part

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        content = handler.resolve_ref_schema(schema)
        docs = field_docs(cls)
        for key, name in cls.allowed().items():
            if name in docs:
                content["properties"][key]["description"] = docs[name]
        if cls.whole is None:
            return schema
        return {"anyOf": [content["properties"][cls.whole], content]}


@dataclass(frozen=True)
class Keyed:
    """``{kind: content}`` taken apart."""

    kind: str
    content: Any
    line: int


class OneOf:
    """``{kind: content}``: a mapping with one key, which says which of the models reads the content.

    Each model has a class attribute ``kind``; ``what`` names them all in errors.
    """

    def __init__(self, what: str, models: Callable[[], tuple[type[Any], ...]]) -> None:
        self.what, self.models = what, models

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices = {model.kind: handler.generate_schema(model) for model in self.models()}
        union = core_schema.tagged_union_schema(choices, discriminator=lambda value: value.kind)
        return core_schema.no_info_before_validator_function(self._take_apart, union)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        contents = handler(core)["oneOf"]
        kinds = [model.kind for model in self.models()]
        return {
            "type": "object",
            "properties": dict(zip(kinds, contents, strict=True)),
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
        }

    def _take_apart(self, value: Any) -> Any:
        models = self.models()
        if isinstance(value, models):
            return value
        kinds = ", ".join(model.kind for model in models)
        if not isinstance(value, dict):
            raise refuse(f"found {show(value)}; expected a {self.what} ({kinds})")
        if len(value) != 1:
            found = " and ".join(str(key) for key in list(value)[:3]) or "an empty mapping"
            raise refuse(f"found {found}; expected a {self.what} with one key ({kinds})")
        [(kind, content)] = value.items()
        if kind not in (model.kind for model in models):
            raise refuse(unknown_word(self.what, kind, [model.kind for model in models]), kind)
        return Keyed(kind, content, value.lines[kind] if isinstance(value, Map) else 0)


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
    """The fault with the lowest line number; ``tree`` is what was validated."""
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
        return f"found more than {context['max_length']} entries; expected no more"
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
