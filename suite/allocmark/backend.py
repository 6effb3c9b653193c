# SPDX-License-Identifier: BSD-3-Clause
"""What a plugin hands over: `Backend`, or the reason why there is none here."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

MOST_TEXT = 2000  #: characters of a text that a plugin hands over
MOST_NAME = 60  #: of the name of a backend or variant
LIBRARY_KINDS = ("so", "preload")  #: how libraries are named with -b, in the place of a backend's name
_NAME = re.compile(r"[a-z][a-z0-9_]*(-[a-z0-9_]+)*\Z")


def text_problem(what: str, text: object) -> str | None:
    """What is wrong with a text that tables and pages show; None for a good one. ``what``: the member that it is of."""
    if not isinstance(text, str):
        return f"{what} is {type(text).__name__}, not str"
    if len(text) > MOST_TEXT:
        return f"{what} is {len(text):,} characters long, and at most {MOST_TEXT:,} can be shown"
    if not text.isprintable():
        odd = next(c for c in text if not c.isprintable())
        return f"{what} holds the character {odd!a}, which a table cannot show"
    return None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


class Pages(enum.StrEnum):
    """The page kind a variant declares for its objects. A cell whose pages turn out to be of another kind fails."""

    ANY = "any"  #: declares nothing; the page kinds that the kernel reports are recorded
    BASE = "base"  #: pages of the base size
    THP = "thp"  #: transparent huge pages of 2 MB
    HUGETLB = "hugetlb"  #: explicitly reserved huge pages of 2 MB


@dataclass(frozen=True)
class Unavailable:
    """Why a variant cannot run here, and the command that would change that.

    `allocmark.system.availability` makes these for missing huge pages and memory.
    """

    reason: str
    fix: str = ""


@dataclass(frozen=True)
class Capabilities:
    """What the allocator can do. A workload that needs more is not run on it, and the reason is shown."""

    any_size: bool = False  #: objects of any size, as many as there is memory for, as with malloc
    thread_safe: bool = True  #: several actors may use one pool at once
    cross_thread_free: bool = True  #: an object may be put by another thread than the one that got it
    numa: bool = False  #: takes memory from the NUMA node that a pool specification names
    max_actors: int | None = None  #: most actors that may use one pool, or None


_CAPABILITIES = ("any_size", "thread_safe", "cross_thread_free", "numa")


@dataclass(frozen=True)
class Backend:
    """One variant of one allocator.

    ``table`` is the address of its ``allocmark_backend`` (see ``allocmark/backend.h``), which must stay valid until the
    process ends. ``load`` takes its place where only the process of a cell may load the library, as of two with one
    soname: there it is called, and returns the address. Both are None when the variant is ``unavailable``, and only
    then.

    Variants of one table differ by ``options``, which reach the native ``init``, or by ``environ``, which is set before
    the process of a cell starts: some libraries read their tunables before any other code runs.
    """

    name: str
    variant: str
    description: str
    version: str  #: of the real library, read from it; "" when it cannot be read
    table: int | None = None
    unavailable: Unavailable | None = None
    capabilities: Capabilities = Capabilities()
    pages: Pages = Pages.ANY
    default: bool = False  #: chosen when the backend is named without a variant; several may be
    on_request: bool = False  #: measured only when it is named with -b, or selected with --for
    floor: bool = False  #: no allocator: its time is what the harness costs, and is subtracted from the others'
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    environ: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    library: str = ""  #: path or soname of the library that is measured: a cell that calls another's functions fails
    #: Settings of the library, read back from it: called in the process of a cell, after the samples.
    facts: Callable[[], Mapping[str, str]] | None = None
    load: Callable[[], int] | None = None  #: instead of ``table``

    @property
    def label(self) -> str:
        """``name:variant``, as the command line takes it."""
        return f"{self.name}:{self.variant}"

    def loaded(self) -> Backend:
        """The same with its ``table``: for the process of a cell."""
        return replace(self, table=self.load(), load=None) if self.load else self

    def problems(self) -> list[str]:
        """What is wrong with this description, one phrase each; an empty list when it can be used.

        The native table is checked by the engine, when the backend is registered.
        """
        found = []
        for what, value in (("name", self.name), ("variant", self.variant)):
            if not isinstance(value, str) or not _NAME.match(value):
                found.append(f"{what} {value!r:.60} is not lower-case words joined by '_' or '-'")
            elif len(value) > MOST_NAME:
                found.append(f"{what} is {len(value):,} characters long, and at most {MOST_NAME} can be shown")
        if self.name in LIBRARY_KINDS:
            found.append(f"name {self.name!r} is taken: -b {self.name}:PATH names a library")
        texts: dict[str, object] = {what: getattr(self, what) for what in ("description", "version", "library")}
        if isinstance(self.unavailable, Unavailable):
            texts |= {f"unavailable.{what}": getattr(self.unavailable, what) for what in ("reason", "fix")}
            if self.unavailable.reason == "":
                found.append("unavailable.reason is empty")
        found += [problem for what, text in texts.items() if (problem := text_problem(what, text))]
        for what in ("default", "on_request", "floor"):
            if not isinstance(flag := getattr(self, what), bool):
                found.append(f"{what} is {type(flag).__name__}, not bool")
        for what in ("facts", "load"):
            if (function := getattr(self, what)) is not None and not callable(function):
                found.append(f"{what} is {type(function).__name__}, not a function")
        if not isinstance(self.capabilities, Capabilities):
            found.append(f"capabilities is {type(self.capabilities).__name__}, not Capabilities")
        elif not all(isinstance(getattr(self.capabilities, name), bool) for name in _CAPABILITIES):
            found.append(f"one of the capabilities {', '.join(_CAPABILITIES)} is not a bool")
        elif not (self.capabilities.max_actors is None or _is_count(self.capabilities.max_actors)):
            found.append(f"max_actors {self.capabilities.max_actors!r} is not a number from 1 on, nor None")
        if not isinstance(self.pages, Pages):
            found.append(f"pages {self.pages!r} is not a Pages")
        if self.unavailable is not None and not isinstance(self.unavailable, Unavailable):
            found.append(f"unavailable is {type(self.unavailable).__name__}, not Unavailable")
        if [self.table, self.load, self.unavailable].count(None) != 2:
            found.append("exactly one of table, load and unavailable must be given")
        if self.table is not None and (not isinstance(self.table, int) or self.table <= 0 or self.table % 8):
            found.append(f"table {self.table!r} is not the address of an allocmark_backend")
        for what, mapping in (("options", self.options), ("environ", self.environ)):
            if not isinstance(mapping, Mapping) or not all(
                isinstance(k, str) and isinstance(v, str) for k, v in mapping.items()
            ):
                found.append(f"{what} is not a mapping of strings to strings")
            elif any(not key or "=" in key or "\0" in key + value for key, value in mapping.items()):
                found.append(f"{what} has an empty name, or a name or value that a process cannot be given")
        return found
