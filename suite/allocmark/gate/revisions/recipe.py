# SPDX-License-Identifier: BSD-3-Clause
"""allocmark.toml, the recipe of a repository without Python: how its libraries are built, and what is measured of them.

It is read from the working tree, for every commit: old commits need not contain it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from allocmark.backend import LIBRARY_KINDS, MOST_NAME
from allocmark.errors import UsageError, show, unknown
from allocmark.installed import canonical
from allocmark.new_backend import distribution_of

FILE = "allocmark.toml"
INTERFACES = ("malloc", "table")

_NAME = re.compile(r"[a-z][a-z0-9_]*(-[a-z0-9_]+)*\Z")  # as that of a `Backend`
_TAKEN = (*LIBRARY_KINDS, "null")
_TOP = ("build", "workloads", "files", "backend")
_BACKEND = ("library", "interface", "prefix", "any_size")


@dataclass(frozen=True)
class Library:
    """One backend: a shared library that the build makes at ``path`` of the checkout.

    With the interface "malloc" its functions are ``prefix`` + "malloc" and so on, as with ``-b so:PATH``; with "table"
    its function ``allocmark_NAME_table`` returns the table of backend.h.
    """

    name: str
    path: str
    interface: str
    prefix: str
    any_size: bool


@dataclass(frozen=True)
class Recipe:
    """``build``: shell commands. ``files`` of the working tree are copied over every commit. ``workloads``: names, or
    files of the working tree; empty for those of the default comparison."""

    folder: Path
    build: tuple[str, ...]
    libraries: tuple[Library, ...]
    files: tuple[str, ...]
    workloads: tuple[str, ...]

    def workload_names(self) -> list[str]:
        """``workloads``, with the paths of files made absolute."""
        from allocmark.workload.language.find import is_path

        return [str(self.folder / name) if is_path(name) else name for name in self.workloads]


def read_recipe(folder: Path) -> Recipe | None:
    """The recipe in the top folder of a repository; None where there is none.

    Raises UsageError, one line with file, key and remedy, for one that cannot be used.
    """
    path = folder / FILE
    if path.is_fifo():
        raise UsageError(f"{path}: is a pipe, expected a file")
    try:
        members = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    return _Reader(path).recipe(members)


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path

    def recipe(self, members: Mapping[str, Any]) -> Recipe:
        self._known("", members, _TOP)
        build = members.get("build")
        build = self._texts("build", [build] if isinstance(build, str) else build)
        if not build:
            raise self._wrong("build", 'is missing: give the command that builds the library: build = "make libfoo.so"')
        backends = members.get("backend")
        if not isinstance(backends, dict) or not backends:
            raise self._wrong("backend", "is missing: give each library a table [backend.NAME] with library, interface")
        files = self._texts("files", members.get("files", []))
        for name in files:
            self._inside("files", name)
            if not (self.path.parent / name).exists():
                raise self._wrong("files", f"names {show(name)}, which does not exist: write it, or take it out")
        libraries = tuple(self._library(name, each) for name, each in backends.items())
        known: dict[str, str] = {}
        for name in backends:
            if (other := known.setdefault(canonical(distribution_of(name)), name)) != name:
                raise self._wrong(f"backend.{name}", f"and backend.{other} differ in '-' and '_' alone: rename one")
        workloads = self._texts("workloads", members.get("workloads", []))
        return Recipe(self.path.parent, build, libraries, files, workloads)

    def _library(self, name: str, members: Any) -> Library:
        where = f"backend.{name}"
        if not isinstance(members, dict):
            raise self._wrong(where, f"is {show(members)}: write a table: [backend.NAME]")
        if not _NAME.match(name) or len(name) > MOST_NAME or name in _TAKEN:
            raise self._wrong(
                where,
                f"cannot be the name of a backend: use lower-case words joined by '_' or '-', at most {MOST_NAME} "
                f"characters, and none of {', '.join(_TAKEN)}",
            )
        self._known(f"{where}.", members, _BACKEND)
        path, interface = (self._text(where, members, key) for key in ("library", "interface"))
        self._inside(f"{where}.library", path)
        if interface not in INTERFACES:
            raise self._wrong(
                f"{where}.interface",
                f"is {show(interface)}: it takes 'malloc' (the library has PREFIXmalloc and PREFIXfree) or 'table' (it "
                "has a table of allocmark/backend.h)",
            )
        prefix = members.get("prefix", "")
        if not isinstance(prefix, str) or not re.fullmatch(r"\w*", prefix) or (prefix and interface != "malloc"):
            raise self._wrong(
                f"{where}.prefix", f"is {show(prefix)}: it is what names begin with, as 'je_' of je_malloc"
            )
        any_size = members.get("any_size", interface == "malloc")
        if not isinstance(any_size, bool) or (not any_size and interface == "malloc"):
            raise self._wrong(f"{where}.any_size", "takes true or false, and malloc always serves any size")
        return Library(name, path, interface, prefix, any_size)

    def _known(self, where: str, members: Mapping[str, Any], keys: Iterable[str]) -> None:
        for key in members:
            if key not in keys:
                raise UsageError(f"{self.path}: {unknown('key', where + key, [where + each for each in keys])}")

    def _text(self, where: str, members: Mapping[str, Any], key: str) -> str:
        value = members.get(key)
        if not isinstance(value, str) or not value:
            what = "is missing" if value is None else f"is {show(value)}"
            raise self._wrong(f"{where}.{key}", f'{what}: write {key} = "…"')
        return value

    def _texts(self, key: str, value: Any) -> tuple[str, ...]:
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
            raise self._wrong(key, f"is {show(value)}: it takes a list of texts")
        return tuple(value)

    def _inside(self, key: str, name: str) -> None:
        path = PurePath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
            raise self._wrong(key, f"is {show(name)}: give a path inside the repository")

    def _wrong(self, key: str, what: str) -> UsageError:
        return UsageError(f"{self.path}: {key} {what}")
