# SPDX-License-Identifier: BSD-3-Clause
"""Shared libraries with the malloc interface as backends: what a plugin needs that brings one. No C is needed."""

from __future__ import annotations

import ctypes
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from allocmark.backend import Backend, Capabilities, Unavailable


@dataclass(frozen=True)
class MallocLibrary:
    """A library that is loaded for one backend and nobody else: the process keeps its own malloc.

    Its functions are ``prefix`` + "malloc" and "free", and for pools that ask for an alignment "memalign",
    "aligned_alloc" or "posix_memalign"; they are taken from the file ``path``, and from no other. Where ``path`` is
    None, the variants are unavailable: ``missing`` says why, and what would change that.
    """

    name: str
    path: Path | None
    missing: Unavailable
    version: str = ""  #: read from the file: `allocmark.system.elf.text_in`
    prefix: str = ""
    on_request: bool = False  #: as in `Backend`
    #: Its settings, asked from the library itself in the process of a cell.
    facts: Callable[[ctypes.CDLL], Mapping[str, str]] | None = None

    def variant(
        self,
        name: str,
        description: str,
        *,
        environ: Mapping[str, str] | None = None,
        default: bool = False,
        obstacle: Unavailable | None = None,
    ) -> Backend:
        """The library as it works with the variables in ``environ``. ``obstacle``: why this variant cannot run here."""
        from allocmark.engine import malloc_table

        unavailable = obstacle if self.path else self.missing
        return Backend(
            name=self.name,
            variant=name,
            description=description,
            version=self.version,
            table=None if unavailable else malloc_table(),
            unavailable=unavailable,
            capabilities=Capabilities(any_size=True),
            default=default,
            on_request=self.on_request,
            library=str(self.path or ""),
            facts=self._facts if self.facts else None,
            options={"malloc.library": str(self.path or ""), "malloc.prefix": self.prefix},
            environ=environ or {},
        )

    def _facts(self) -> Mapping[str, str]:
        assert self.facts  # else nobody asks
        return self.facts(ctypes.CDLL(str(self.path), mode=os.RTLD_NOW | os.RTLD_NOLOAD))


def ask(path: Path, question: Callable[[ctypes.CDLL], str]) -> str:
    """The answer of a library that is loaded in a child process, so that this one stays as it is; "" when there is
    none: for a version that no text in the file tells."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: the child needs none
        child = os.fork()
    if child == 0:
        try:
            os.write(write, question(ctypes.CDLL(str(path), mode=os.RTLD_NOW | os.RTLD_DEEPBIND)).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as answer:
        text = answer.read().decode()
    os.waitpid(child, 0)
    return text


@dataclass(frozen=True)
class GivenLibrary:
    """A library that a person names by its path, with no plugin: ``so:PATH``, which is loaded as a `MallocLibrary`, or
    ``preload:PATH``, which LD_PRELOAD puts in the place of the malloc of a cell's whole process."""

    kind: str
    path: str
    prefix: str = ""

    def backend(self, variant: str, unavailable: Unavailable | None = None) -> Backend:
        """The backend ``so:VARIANT`` or ``preload:VARIANT``."""
        preloaded = self.kind == "preload"
        library = MallocLibrary(self.kind, Path(self.path), Unavailable("not found"), prefix=self.prefix)
        how = f"{self.path}, preloaded" if preloaded else self.path
        found = library.variant(variant, how, environ=self.environ, obstacle=unavailable)
        return replace(found, options={**found.options, "malloc.preloaded": "yes"}) if preloaded else found

    @property
    def environ(self) -> dict[str, str]:
        """What its process needs."""
        if self.kind != "preload":
            return {}
        return {"LD_PRELOAD": os.pathsep.join(filter(None, [self.path, os.environ.get("LD_PRELOAD")]))}
