# SPDX-License-Identifier: BSD-3-Clause
"""The steps of an actor, and the numbers in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationInfo,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypeAliasType

from allocmark.errors import unknown
from allocmark.workload.language.distributions import AnyDistribution, Distribution
from allocmark.workload.language.parts import OneOf, OrItem, OrName, OrVariable, Part, Reference, refuse

MOST_OBJECTS = 2**32 - 2  #: of a pool
MOST_BULK = 65536  #: objects of one get, put, send or receive
MOST_IDLE_NS = 10**9
MOST_ARGUMENT = 2**32 - 1  #: that an instruction of the tape holds
MOST_POOLS = 64
ALL = "all"  #: bytes of a touch: each object to its own end

Number = int | Distribution


class Between(OrName):
    """A `Number` whose draws stay within two bounds: an int, a distribution, or the name of one."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        union = core_schema.tagged_union_schema(
            {
                "number": core_schema.int_schema(strict=True, ge=self.low, le=self.high),
                "distribution": handler.generate_schema(AnyDistribution),
            },
            discriminator=lambda value: "number" if isinstance(value, int | float) else "distribution",
        )
        resolved = core_schema.with_info_before_validator_function(self._resolve, union)
        return core_schema.no_info_after_validator_function(self._check, resolved)

    def _resolve(self, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str):
            return value
        named: Mapping[str, Distribution] = (info.context or {}).get("distributions", {})
        if value not in named:
            raise refuse("expected a number; " + unknown("distribution", value, named))
        return named[value]

    def _check(self, value: Number) -> Number:
        if isinstance(value, Distribution):
            if value.minimum < self.low:
                raise refuse(f"found draws down to {value.minimum}; expected at least {self.low}")
            if value.maximum > self.high:
                raise refuse(f"found draws up to {value.maximum}; expected at most {self.high}")
        return value


class BytesOrAll:
    """A number of bytes, or `ALL`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.tagged_union_schema(
            {
                "number": core_schema.int_schema(strict=True, ge=0, le=MOST_ARGUMENT),
                "word": core_schema.literal_schema([ALL]),
            },
            discriminator=lambda value: "word" if isinstance(value, str) else "number",
        )


Bulk = Annotated[int, Field(strict=True, ge=1, le=MOST_BULK), OrVariable()]
Which = Annotated[Literal["all", "oldest", "newest", "random"], OrVariable()]
Release = Annotated[Literal["oldest", "newest", "random"], OrVariable()]


class Get(Part):
    """Take objects from a pool; with several pools, the size of each object decides from which."""

    kind: ClassVar[str] = "get"

    pools: Annotated[
        tuple[Reference, ...],
        Field(validation_alias="from", min_length=1, max_length=MOST_POOLS),
        BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
        OrItem(),
    ]
    """A pool, or a list of pools of different object sizes."""
    n: Annotated[Number, Between(1, MOST_BULK)] = 1
    """Objects."""
    size: Annotated[Number | None, Between(1, 2**40)] = None
    """Bytes of each object; it comes from the smallest of the pools that fits."""
    exact: Annotated[bool, Field(strict=True), OrVariable()] = False
    """Ask for `size` bytes, not for the object_size of its pool: a malloc then rounds as it likes. Pools cannot."""
    zeroed: Annotated[bool, Field(strict=True), OrVariable()] = False
    """The objects are all zeros, as from calloc. What cannot do so is written by the engine."""

    @model_validator(mode="after")
    def _size_decides(self) -> Self:
        if len(self.pools) > 1 and self.size is None:
            raise refuse(f"found {len(self.pools)} pools and no size; expected 'size', which picks the pool")
        if len(set(self.pools)) < len(self.pools):
            raise refuse("found a pool twice; expected each once", "from")
        if self.exact and self.size is None:
            raise refuse("found 'exact' and no size; expected 'size', which is what is asked for", "exact")
        return self


class Put(Part):
    """Give held objects back; never more than are held."""

    kind: ClassVar[str] = "put"
    whole: ClassVar[str] = "which"

    which: Which
    """All of them, or n: the ones got first (oldest), last (newest) or any (random)."""
    n: Annotated[Number | None, Between(0, MOST_BULK)] = None
    """Objects; needed unless all are put."""
    pool: Annotated[Reference | None, Field(validation_alias="from")] = None
    """Only objects that came from this pool."""

    @model_validator(mode="after")
    def _n_unless_all(self) -> Self:
        if self.which == "all" and self.n is not None:
            raise refuse("found 'n' beside 'all'; expected no 'n', or which: oldest, newest or random", "n")
        if self.which != "all" and self.n is None:
            raise refuse(f"found {self.which!r} without 'n'; expected how many objects to put", "which")
        return self


class PutAll(Part):
    """Give back everything held of one pool at once, as an arena or region is dropped."""

    kind: ClassVar[str] = "put_all"
    whole: ClassVar[str] = "from"

    pool: Annotated[Reference, Field(validation_alias="from")]
    """A pool that no other actor uses."""


class Touch(Part):
    """Read or write the first bytes of each object of the actor's latest get or receive."""

    kind: ClassVar[str] = "touch"

    bytes: Annotated[int | Literal["all"], BytesOrAll(), OrVariable()]
    """From the object's beginning; 0 touches nothing, `all` touches each object to its own end."""
    how: Annotated[Literal["read", "write"], OrVariable()]


class Hold(Part):
    """Keep a live set: put what is held beyond a number of objects."""

    kind: ClassVar[str] = "hold"

    objects: Annotated[Number, Between(0, MOST_OBJECTS)]
    """Objects that stay."""
    release: Release
    """Which are put: the ones got first (oldest), last (newest) or any (random)."""
    pool: Annotated[Reference | None, Field(validation_alias="from")] = None
    """Only objects that came from this pool count, and are put."""


class Resize(Part):
    """Exchange held objects of one pool for objects of another, with their content, as realloc does."""

    kind: ClassVar[str] = "resize"

    pool: Annotated[Reference, Field(validation_alias="from")]
    to: Reference
    """The pool whose object_size they have afterwards; larger or smaller."""
    n: Bulk = 1
    """Objects."""
    which: Annotated[Literal["oldest", "newest"], OrVariable()] = "newest"
    """The ones got first (oldest) or last (newest)."""

    @model_validator(mode="after")
    def _another(self) -> Self:
        if self.pool == self.to:
            raise refuse(f"found {self.to} twice; expected another pool", "to")
        return self


class Send(Part):
    """Hand objects that are held to the actor at the other end of a queue, the oldest first."""

    kind: ClassVar[str] = "send"

    queue: Annotated[Reference, Field(validation_alias="to")]
    n: Bulk | None = None
    """Objects; all that are held when left out."""


class Receive(Part):
    """Wait for objects from a queue and take them over."""

    kind: ClassVar[str] = "receive"

    queue: Annotated[Reference, Field(validation_alias="from")]
    n: Bulk | None = None
    """Objects; as many as the sender sends at a time when left out."""


class Idle(Part):
    """Do nothing for a while: the off-time of a burst. Its time is not counted as cost."""

    kind: ClassVar[str] = "idle"

    ns: Annotated[Number, Between(0, MOST_IDLE_NS)]


class Repeat(Part):
    """Do steps several times, or until the actor holds a number of objects."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["times"]}, {"required": ["until_held"]}]})
    kind: ClassVar[str] = "repeat"

    times: Annotated[Number | None, Between(0, MOST_ARGUMENT)] = None
    until_held: Annotated[int | None, Field(strict=True, ge=0, le=MOST_OBJECTS), OrVariable()] = None
    """Grow to at least that many when fewer are held, shrink to at most that many when more are."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.times is None) == (self.until_held is None):
            found = "neither 'times' nor" if self.times is None else "both 'times' and"
            raise refuse(f"found {found} 'until_held'; expected one of the two")
        return self


STEPS = (Get, Put, PutAll, Touch, Hold, Resize, Send, Receive, Idle, Repeat)
Step = TypeAliasType(
    "Step",
    Annotated[
        Get | Put | PutAll | Touch | Hold | Resize | Send | Receive | Idle | Repeat, OneOf("step", lambda: STEPS)
    ],
)
