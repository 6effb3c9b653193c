# SPDX-License-Identifier: BSD-3-Clause
"""One side of a comparison: a revision whose backends are built, installed in a folder of their own, and listed."""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from allocmark.discovery import discover
from allocmark.errors import UsageError
from allocmark.gate.revisions.build_backends import Built, build_backends
from allocmark.gate.revisions.build_libraries import build_libraries, submodules_said
from allocmark.gate.revisions.git import git, lay_out, resolve, top_folder
from allocmark.gate.revisions.recipe import FILE as RECIPE
from allocmark.gate.revisions.recipe import read_recipe
from allocmark.gate.revisions.wheel import pip, short_digest
from allocmark.installed import canonical
from allocmark.plugins import Host, Registered

NOT_THERE = "not in this commit"


@dataclass(frozen=True)
class Side:
    """A revision and its backends. Where ``files`` of two sides are equal, there is nothing to measure."""

    revision: str  #: as it was asked for
    commit: str
    built: tuple[Built, ...]
    host: Host
    prefix: str  #: the folder that they are installed in
    files: Mapping[str, str]  #: by the distribution's canonical name: a digest of its files, without the metadata

    def files_of(self, registered: Registered) -> str | None:
        """The digest of the backend's distribution on this side; None where this side does not have it."""
        return self.files.get(canonical(registered.distribution))

    def why_not(self, distribution: str) -> str | None:
        """Why this side has no backends of ``distribution``; None when it has."""
        name = canonical(distribution)
        if name in self.files:
            broken = [each.cause for each in self.host.broken if canonical(each.distribution) == name]
            return f"its plugin is not used: it {broken[0]}" if broken else None
        found = [each for each in self.built if canonical(each.distribution) == name]
        return f"{found[0].reason} (log: {found[0].log})" if found else NOT_THERE


def prepare(repository: Path, revision: str, state: Path) -> Side:
    """Build and install the backends of ``revision``; what was built before is taken from ``state``.

    Raises AllocmarkError when there is no such revision, it has no backends, or nothing can be built here. One backend
    that does not build is no error: see `Side.why_not`.
    """
    commit = resolve(repository, revision)
    built = _build(repository, commit, state / "wheels")
    if not built:
        raise UsageError(
            f"{revision} has no backends: its commit has no plugin (a pyproject.toml at the top or in backends/*/) "
            f"and there is no {RECIPE} here: `allocmark track init` writes one"
        )
    wheels = {each.distribution: each.wheel for each in built if each.wheel}
    files = {canonical(distribution): _digest(wheel) for distribution, wheel in wheels.items()}
    prefix = state / "installed" / _name(files)
    if not prefix.is_dir():
        _install(list(wheels.values()), prefix)
    return Side(revision, commit, built, discover(str(prefix)), str(prefix), files)


@cache
def _build(repository: Path, commit: str, wheels: Path) -> tuple[Built, ...]:
    """Cached, so that a build that fails is tried once per process."""
    built: list[Built] = []
    if git(repository, "ls-tree", "--full-tree", commit, "pyproject.toml", "backends/"):
        with TemporaryDirectory(prefix="allocmark-") as folder:
            empty = lay_out(repository, commit, Path(folder))
            built = build_backends(Path(folder), wheels, python=Path(sys.executable))
            built = [_without_submodules(each, empty) for each in built]
    if recipe := read_recipe(top_folder(repository)):
        built += build_libraries(recipe, repository, commit, wheels)
    return tuple(built)


def _without_submodules(built: Built, empty: list[str]) -> Built:
    """What was not built for want of a submodule says so: the compiler only names a file."""
    inside = [path for path in empty if built.name == "own" or path.startswith(f"backends/{built.name}/")]
    return replace(built, reason=f"{built.reason}{submodules_said(inside)}") if built.reason and inside else built


def _digest(wheel: Path) -> str:
    total = hashlib.sha256()
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            folder, _, file = name.partition("/")
            if not folder.endswith(".dist-info") or file == "entry_points.txt":
                content = archive.read(name)
                total.update(f"{name}\0{len(content)}\0".encode() + content)
    return total.hexdigest()


def _name(files: Mapping[str, str]) -> str:
    """A folder's name, equal for equal files. Always of one length: a longer path can move a process's stack."""
    return short_digest(repr(sorted(files.items())))


def _install(wheels: list[Path], prefix: Path) -> None:
    """The folder appears whole or not at all."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="installing-", dir=prefix.parent) as work:
        target = Path(work, "files")
        target.mkdir()
        if wheels:
            pip("install", "-q", "--no-deps", "--no-index", "--target", str(target), *map(str, wheels))
        try:
            os.rename(target, prefix)
        except OSError:
            if not prefix.is_dir():  # otherwise another process has installed the same
                raise
