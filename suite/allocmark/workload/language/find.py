# SPDX-License-Identifier: BSD-3-Clause
"""Finds workload files by name or by path."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import allocmark
from allocmark.errors import UsageError, WorkloadError, unknown
from allocmark.workload.language.expand import Template
from allocmark.workload.language.load import LineError

BUNDLED = Path(allocmark.__file__).parent / "bundled"
SETS = ("malloc", "pools", "serving")  #: folders of workloads that belong together


def is_path(name_or_path: str) -> bool:
    """Whether a file is meant, and not a workload's name: there is a slash, or it ends in .yaml, .yml or .trace."""
    return "/" in name_or_path or name_or_path.endswith((".yaml", ".yml", ".trace"))


def find_workload(name_or_path: str, dirs: Sequence[Path] = (BUNDLED,)) -> Template:
    """The file at a path (see `is_path`), or for a name the first ``NAME.yaml`` of ``dirs``.

    Raises `UsageError` when there is none, `WorkloadError` when it cannot be used.
    """
    if is_path(name_or_path):
        path = Path(name_or_path)
        if not os.path.isfile(path):  # false, too, where a folder on the way cannot be read
            raise UsageError(
                f"no workload file {name_or_path}; expected a file, or one of {', '.join(_names(dirs)) or 'none'}"
            )
        return Template.load(path)
    for path in _files(dirs):
        if path.stem == name_or_path:
            return Template.load(path, name=path.stem)
    if os.path.isfile(name_or_path):
        raise UsageError(
            f"{name_or_path} is a file that does not end in .yaml: a workload is YAML, which a recorded trace is not "
            f"(./{name_or_path} reads it as one)"
        )
    raise UsageError(unknown("workload", name_or_path, _names(dirs)))


def find_workloads(name_or_path: str, dirs: Sequence[Path] = (BUNDLED,)) -> list[Template]:
    """As `find_workload`; all of a set for its name."""
    if name_or_path not in SETS:
        return [find_workload(name_or_path, dirs)]
    return [Template.load(path, name=path.stem) for path in _files(dirs) if set_of(path) == name_or_path]


def set_of(path: Path) -> str:
    """The set that a workload of one of the folders belongs to, or ""."""
    return path.parent.name if path.parent.name in SETS else ""


def all_workloads(dirs: Sequence[Path] = (BUNDLED,)) -> list[Template | WorkloadError]:
    """Every ``*.yaml`` of ``dirs`` and their sets, folder by folder, sorted by name; for one that cannot be used, its
    error."""
    found: list[Template | WorkloadError] = []
    first: dict[str, Path] = {}
    for path in _files(dirs):
        try:
            other = first.setdefault(path.stem, path)
            if other != path:
                raise LineError(path, 1, f"found {path.stem} again; expected one workload (first: {other})")
            found.append(Template.load(path, name=path.stem))
        except WorkloadError as error:
            found.append(error)
    return found


def _files(dirs: Sequence[Path]) -> list[Path]:
    folders = [folder for each in dirs for folder in (each, *(each / name for name in SETS))]
    return [path for folder in folders for path in sorted(folder.glob("*.yaml")) if os.path.isfile(path)]


def _names(dirs: Sequence[Path]) -> list[str]:
    return list(dict.fromkeys(path.stem for path in _files(dirs)))
