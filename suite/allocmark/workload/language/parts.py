# SPDX-License-Identifier: BSD-3-Clause
"""What the models of the language share: mappings that know their line, `$name`, ``{kind: content}``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    PrivateAttr,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from allocmark.workload.language.load import Map
from allocmark.workload.language.words import show, unknown

NAME = r"^[a-z][a-z0-9_]*$"
VARIABLE = re.compile(r"\$([a-z][a-z0-9_]*)")


def refuse(text: str, *at: int | str) -> PydanticCustomError:
    """An error in this project's words; ``at`` leads from the validated value to the culprit inside it."""
    return PydanticCustomError("refused", "{text}", {"text": text, "at": at})


class OrVariable:
    """For editors: the value may also be the `$name` of a sweep variable, substituted before validation."""

    pattern = f"^{VARIABLE.pattern}$"

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        either = schema.get("anyOf") or schema.get("oneOf") or [schema]
        return {"anyOf": [*either, {"type": "string", "pattern": self.pattern}]}


class OrName(OrVariable):
    """For editors: the value may also be a name or a `$name`."""

    pattern = r"^\$?[a-z][a-z0-9_]*$"


class OrItem:
    """For editors: the value may also be a single item of the list."""

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
        use_attribute_docstrings=True,
        defer_build=True,  # most are only ever parts of another: built alone they double the import time
    )

    whole: ClassVar[str | None] = None  #: the key that a content which is not a mapping is short for
    _line: int = PrivateAttr(default=0)

    @property
    def line(self) -> int:
        return self._line

    def __eq__(self, other: object) -> bool:
        """Wherever they stand."""
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
                    raise refuse(unknown("key", key, cls.allowed()), key)
        part = handler(value)
        part._line = line
        return part

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        if cls.whole is None:
            return schema
        content = handler.resolve_ref_schema(schema)
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
            raise refuse(unknown(self.what, kind, [model.kind for model in models]), kind)
        return Keyed(kind, content, value.lines[kind] if isinstance(value, Map) else 0)
