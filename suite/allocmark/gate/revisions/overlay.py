# SPDX-License-Identifier: BSD-3-Clause
"""Files of the working tree that are laid over every commit, as a recipe names them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath

from allocmark.errors import UsageError


def overlay(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """By its path in the repository: each file of ``names``, which are files or folders in ``folder``.

    Links within a folder stay links, as in git. Raises UsageError for a pipe or a device.
    """
    found = {}
    for name in names:
        top = folder / name
        for path in _files_in(top) if top.is_dir() else [top.resolve()]:
            if not (path.is_file() or path.is_symlink()):
                raise UsageError(f"{path}: is no file, and cannot be laid over a commit: take it out of {name}")
            found[str(PurePath(name, path.relative_to(top) if top.is_dir() else ""))] = path
    return found


def _files_in(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        yield from (Path(parent, name) for name in [*files, *links])


def digest_of(laid: Mapping[str, Path]) -> str:
    """Of names, modes and contents."""
    total = hashlib.sha256()
    for name, path in sorted(laid.items()):
        content = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
        total.update(os.fsencode(f"{name}\0{path.lstat().st_mode & 0o120100:o}\0{len(content)}\0") + content)
    return total.hexdigest()


def lay_over(laid: Mapping[str, Path], files: Path) -> None:
    """Copy them into ``files``, the folder of a commit. What it has in their place goes: a link may lead out of it."""
    for name, path in laid.items():
        target = files
        for part in PurePath(name).parts[:-1]:
            target /= part
            if target.is_symlink() or not target.is_dir():
                target.unlink(missing_ok=True)
                target.mkdir()
        target /= PurePath(name).name
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        shutil.copy(path, target, follow_symlinks=False)
