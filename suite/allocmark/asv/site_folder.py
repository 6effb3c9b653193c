# SPDX-License-Identifier: BSD-3-Clause
"""The folder of a published site, which may hold files of other people: only files that we wrote are replaced.

The marker file lists what we wrote. A new site is written into a folder inside the site's own, on the same file system
even when that is a mount. Then each file takes its place by one rename, index.html last, and files of the old site that
the new one lacks are removed. While files are moved the marker lists both sites, so a publish that was killed at any
moment is finished by the next one, and nobody else's file is ever touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from allocmark.errors import UsageError

MARKER = "allocmark.json"
_STAGE = ".allocmark-new"  #: where the new site is written; left behind only by a call that was killed
_MAY_BE_THERE = ("CNAME",)  # and hidden files: of a folder that GitHub Pages serves


@contextlib.contextmanager
def new_site(output: Path) -> Iterator[Path]:
    """An empty folder for the new site, which takes the place of the old one when the context ends well.

    ``output`` may be new, empty, a site, a mount, or a link to one of those. Raises UsageError, and changes nothing,
    when it is a file, when it holds files and was never published into, when the new site has a file of the name of
    somebody else's, or when another process is publishing there. What raises inside the context leaves the old site.
    """
    folder = output.resolve()
    made = _make(folder)
    try:
        with _locked(folder):
            written = _written(folder)
            stage = folder / _STAGE
            shutil.rmtree(stage, ignore_errors=True)
            stage.mkdir()
            try:
                yield stage
                _take_place(folder, stage, written)
            finally:
                shutil.rmtree(stage, ignore_errors=True)
    except BaseException:
        for each in made:
            with contextlib.suppress(OSError):  # not empty: something of it was published
                each.rmdir()
        raise


def _written(folder: Path) -> set[str] | None:
    """What we wrote there; None for a site from before the marker had a list, of which any file may be ours."""
    if (folder / MARKER).exists():
        members = _members(folder / MARKER)
        if "allocmark" not in members:
            raise UsageError(f"{folder}: its {MARKER} is not one that allocmark wrote: choose a new or an empty folder")
        files = members.get("files")
        if isinstance(files, list) and all(isinstance(name, str) for name in files):
            return set(files)
        return None
    if "asv-version" in _members(folder / "info.json"):  # asv published it, without us
        return None
    others = sorted(p.name for p in folder.iterdir() if not p.name.startswith(".") and p.name not in _MAY_BE_THERE)
    if others:
        raise UsageError(f"{folder}: holds {others[0]} and no site: choose a new or an empty folder")
    return set()


def _members(file: Path) -> dict[str, Any]:
    try:
        members = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return members if isinstance(members, dict) else {}


def _make(folder: Path) -> list[Path]:
    """The folders that were made, the innermost first."""
    made: list[Path] = []
    for each in reversed([folder, *folder.parents]):
        if each.exists() and not each.is_dir():
            raise UsageError(f"{each}: is a file: choose a folder for the site")
        if not each.exists():
            each.mkdir()
            made.insert(0, each)
    return made


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise UsageError(f"{folder}: another process is publishing there now: wait until it is done") from error
    finally:
        os.close(fd)


def _take_place(folder: Path, stage: Path, written: set[str] | None) -> None:
    told = _members(stage / MARKER)
    (stage / MARKER).unlink(missing_ok=True)
    new = [str(path.relative_to(stage)) for path in stage.rglob("*") if not path.is_dir()]
    _refuse_strangers(folder, new, written)
    old = (written or set()) - {MARKER}
    _mark(folder, stage, told, old.union(new))
    # The page that leads to the others comes last.
    for name in sorted(new, key=lambda name: (name == "index.html", name)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(stage / name, folder / name)
    for name in old.difference(new):
        _remove(folder, name)
    _mark(folder, stage, told, new)


def _refuse_strangers(folder: Path, new: Iterable[str], written: set[str] | None) -> None:
    for name in new:
        place = folder / name
        # A link on the way leads out of the folder, and a file on the way cannot become a folder.
        for each in [*reversed(place.relative_to(folder).parents[:-1]), Path(name)]:
            found = folder / each
            if not os.path.lexists(found):
                break
            ours = found.is_dir() and not found.is_symlink() and found != place
            if not ours and (found != place or found.is_dir() or (written is not None and name not in written)):
                raise UsageError(
                    f"{folder}: holds {each}, which is not of a site that allocmark wrote, and the new site has a file "
                    f"{name}: move {each} away, or choose another folder"
                )


def _mark(folder: Path, stage: Path, told: dict[str, Any], files: Iterable[str]) -> None:
    fresh = stage / f"{MARKER}.new"
    fresh.write_text(json.dumps({**told, "files": sorted(files)}, indent=1) + "\n", encoding="utf-8")
    os.replace(fresh, folder / MARKER)


def _remove(folder: Path, name: str) -> None:
    """A file that we wrote, and the folders that are empty without it. A damaged list leads to nothing outside."""
    place = folder / name
    if place.resolve().is_relative_to(folder) and place.parent.resolve() == place.parent:
        with contextlib.suppress(OSError):  # gone already, or a folder now
            place.unlink()
        for each in place.relative_to(folder).parents[:-1]:
            try:
                (folder / each).rmdir()
            except OSError:
                break
