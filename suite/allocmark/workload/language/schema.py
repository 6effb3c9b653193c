# SPDX-License-Identifier: BSD-3-Clause
"""The closed schema of a workload file, as models, and as a JSON schema for editors.

`read_header` reads what names a file and its sweep, `validate` reads one case (no `$name` left in it).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema, model_validator

from allocmark.errors import show
from allocmark.workload.language import checks
from allocmark.workload.language.distributions import AnyDistribution
from allocmark.workload.language.load import LineError, Map
from allocmark.workload.language.parts import Name, OrItem, OrVariable, Part, first_fault, refuse, unknown_word
from allocmark.workload.language.steps import MOST_OBJECTS, MOST_POOLS, Step

MOST_CAPACITY = 2**24  #: objects of a queue
MOST_NAMED = 64  #: queues, distributions


class Pool(Part):
    """Objects of one size."""

    object_size: Annotated[int, Field(strict=True, ge=1, le=2**40), OrVariable()]
    """Bytes a user may write in each object."""
    objects: Annotated[int, Field(strict=True, ge=1, le=MOST_OBJECTS), OrVariable()]
    cache: Annotated[int, Field(strict=True, ge=0, le=2**20), OrVariable()] = 256
    """Objects that a thread may cache; 0: none."""
    alignment: Annotated[int, Field(strict=True, ge=0, le=2**21), OrVariable()] = 0
    """Bytes, a power of two; 0: whatever the allocator gives by itself."""
    node: Annotated[int, Field(strict=True, ge=-1, le=1023), OrVariable()] = -1
    """NUMA node of the memory; -1: any."""

    @model_validator(mode="after")
    def _power_of_two(self) -> Self:
        if self.alignment & (self.alignment - 1):
            raise refuse(f"found {self.alignment}; expected a power of two, or 0", "alignment")
        return self


class Queue(Part):
    """A ring between actors, of objects."""

    capacity: Annotated[int, Field(strict=True, ge=1, le=MOST_CAPACITY), OrVariable()]
    """Objects that fit; a sender waits while it is full."""


class Actor(Part):
    """One thread, or several alike, that runs its steps over and over."""

    whole: ClassVar[str] = "steps"

    count: Annotated[int, Field(strict=True, ge=1, le=checks.MOST_ACTORS), OrVariable()] = 1
    """Threads that do these steps, each with objects of its own."""
    threads_end: Annotated[bool, Field(strict=True), OrVariable()] = False
    """Each run of the steps is a thread's life: it ends, and another takes over what it held."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]


class _Body(Part):
    pools: Annotated[dict[Name, Pool], Field(min_length=1, max_length=MOST_POOLS)]
    queues: Annotated[dict[Name, Queue], Field(max_length=MOST_NAMED, default_factory=dict)]
    actors: Annotated[dict[Name, Actor], Field(min_length=1, max_length=checks.MOST_ACTORS)]
    cpus: Annotated[int | None, Field(strict=True, ge=1, le=checks.MOST_ACTORS), OrVariable()] = None
    """CPUs that the actors share; one CPU per actor when left out."""


class Workload(_Body):
    """One case, ready to be compiled; ``pools`` and ``queues`` are the ones that its actors use."""

    name: str
    summary: str
    source: str


def _scalar(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise refuse(f"found {show(value)}; expected a number, a name, true or false")
    if isinstance(value, str) and "$" in value:
        raise refuse(f"found {show(value)}; expected a value, not another variable")
    return value


def _whole(value: Any) -> Any:
    if type(value) is not int:  # true and 1.0 are equal to 1
        raise refuse(f"found {show(value)}; expected 1")
    return value


_Values = Annotated[
    tuple[
        Annotated[
            Any,
            BeforeValidator(_scalar),
            WithJsonSchema({"type": ["integer", "number", "string", "boolean"]}),
        ],
        ...,
    ],
    Field(min_length=1),
]
_Sweep = dict[Name, _Values]
_Distributions = Annotated[dict[Name, AnyDistribution], Field(max_length=MOST_NAMED, default_factory=dict)]
Text = Annotated[str, Field(min_length=1, pattern=r"\S")]


class FileHeader(Part):
    """What a file says about itself and its cases."""

    format: Annotated[Literal[1], BeforeValidator(_whole)]
    """The version of the language."""
    name: Name
    summary: Text
    """One sentence: who does what."""
    source: Text
    """Where the shape comes from: a program, a measurement, a publication."""
    sweep: Annotated[_Sweep, Field(default_factory=dict)]
    """Variables and their values; every combination is a case. The first variable varies slowest."""
    short: Annotated[
        tuple[_Sweep, ...],
        BeforeValidator(lambda value: (value,) if isinstance(value, dict) else value),
        OrItem(),
    ] = ()
    """The cases of the short form: values for some of the variables, or a list of such selections."""
    default: Annotated[bool, Field(strict=True)] = True
    """Whether its short form is measured when no workload is named."""


class _File(_Body, FileHeader):
    """A workload for allocmark: what threads (actors) do to pools, over queues."""

    distributions: _Distributions


BODY = ("distributions", "pools", "queues", "actors", "cpus")


class _Named(Part):
    distributions: _Distributions


def read_header(tree: Map, path: Path | str) -> FileHeader:
    """Validate all of a file but its `BODY`, whose keys it checks. Raises `WorkloadError`."""
    for key in tree:
        if key not in _File.allowed():
            raise LineError(path, tree.lines[key], unknown_word("key", key, _File.allowed()))
    try:
        return FileHeader.model_validate({key: value for key, value in tree.items() if key not in BODY})
    except ValidationError as error:
        raise first_fault(error, tree, path) from None


def validate(body: Map, header: FileHeader, path: Path | str) -> Workload:
    """Validate one case: the `BODY` of a file, every variable substituted. Raises `WorkloadError`."""
    about = {"name": header.name, "summary": header.summary, "source": header.source}
    try:
        folder = {"folder": Path(path).parent}
        named = _Named.model_validate({key: body[key] for key in body if key == "distributions"}, context=folder)
        workload = Workload.model_validate(
            {**about, **{key: body[key] for key in body if key != "distributions"}},
            context={"distributions": named.distributions} | folder,
        )
        return checks.checked(workload)
    except ValidationError as error:
        raise first_fault(error, body, path) from None
    except checks.CaseError as error:
        raise LineError(path, error.line, str(error)) from None


def json_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a workload file, for editors.

    It knows keys, types and bounds, and lets a `$name` stand for a value; names are not resolved.
    ``workloads/schema.json`` is its text, printed by ``allocmark workloads schema``.
    """
    schema = _closed(_File.model_json_schema())
    draft = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": draft, **schema, "title": "allocmark workload"}


def _closed(schema: Any) -> Any:
    """Without null (a key may be left out, never empty), and refusing names that are not well-formed."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema if each != {"type": "null"}]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items() if (key, value) != ("default", None)}
    return {**closed, "additionalProperties": False} if "patternProperties" in closed else closed
