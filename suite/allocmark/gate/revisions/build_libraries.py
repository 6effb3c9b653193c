# SPDX-License-Identifier: BSD-3-Clause
"""Builds the libraries of a commit by its recipe, with the project's own commands, and makes plugins of them.

Kept under a digest of what they are made from, as `build_backends` keeps its wheels. Failures are not kept.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from allocmark.errors import AllocmarkError, UsageError
from allocmark.gate.revisions.build_backends import Built
from allocmark.gate.revisions.git import environ_of_git, git, lay_out
from allocmark.gate.revisions.overlay import digest_of, lay_over, overlay
from allocmark.gate.revisions.pack_library import pack_library
from allocmark.gate.revisions.recipe import FILE, Library, Recipe
from allocmark.gate.revisions.wheel import BUILD_SECONDS, cause, digest, native_toolchain, short_digest
from allocmark.measuring.given import given_library
from allocmark.new_backend import distribution_of
from allocmark.plugin_build import get_include
from allocmark.system.elf import LibraryFile, NotLoadableError

_MOST_PRINTED = 1 << 30  # bytes
_MOST_READ = 1 << 22  # bytes
_LOOK_SECONDS = 1.0
_OF_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")  #: belong to the make that called us


def build_libraries(recipe: Recipe, repository: Path, commit: str, cache: Path) -> list[Built]:
    """One entry per library of ``recipe``, in its order. Nothing is written into the repository but its ``cache``.

    Raises AllocmarkError when git fails, or there is no place to build in.
    """
    tree = git(repository, "rev-parse", f"{commit}^{{tree}}").strip()
    laid = overlay(recipe.folder, recipe.files)
    made_with = native_toolchain("cc", "c++"), digest(Path(get_include()))
    name = short_digest(tree, repr((recipe.build, recipe.libraries, digest_of(laid), made_with)))
    kept = {library: cache.absolute() / f"{library.name}-{name}" for library in recipe.libraries}
    log = cache.absolute() / f"{FILE}-{name}.log"
    reasons: dict[Library, str] = {}
    if not all(folder.is_dir() for folder in kept.values()):
        cache.mkdir(parents=True, exist_ok=True)
        reasons = _build(recipe, repository, commit, laid, kept, log)
    return [
        Built(library.name, distribution_of(library.name), next(folder.glob("*.whl"), None), log, reasons.get(library))
        for library, folder in kept.items()
    ]


def _build(
    recipe: Recipe, repository: Path, commit: str, laid: Mapping[str, Path], kept: Mapping[Library, Path], log: Path
) -> dict[Library, str]:
    """Fills the folders ``kept``. By library, why it was not built."""
    with TemporaryDirectory(prefix="building-", dir=log.parent) as work:
        with _place(recipe.folder) as files:
            empty = lay_out(repository, commit, files)
            lay_over(laid, files)
            if reason := _run(recipe.build, files, log):
                return dict.fromkeys(kept, reason.replace(f"{files}/", "") + submodules_said(empty))
            for library in kept:
                _take_out(library, files, Path(work, library.name))
        # The folder is gone, and what a library needed of it: it is loaded as it will be when it is measured.
        reasons = {}
        for library, target in kept.items():
            wheels = Path(work, f"{library.name}.wheels")
            wheels.mkdir()
            if why := _pack(library, Path(work, library.name, Path(library.path).name), wheels):
                reasons[library] = why
            elif not target.is_dir():  # otherwise another process has built the same
                os.rename(wheels, target)
        return reasons


@contextmanager
def _place(repository: Path) -> Iterator[Path]:
    """An empty folder to build in, at the same path for all commits of a repository: compilers write their folder into
    what they build, and equal sources must give equal files. Its path has no spaces, which many makefiles cannot bear.
    """
    mine = Path(gettempdir(), f"allocmark-{os.geteuid()}")
    with suppress(FileExistsError):
        mine.mkdir(mode=0o700)
    found = mine.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise AllocmarkError(f"{mine}: others may write there: remove it, or name another folder in TMPDIR")
    place = mine / short_digest(os.fsencode(repository.resolve()).hex())
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _remove(place)  # a process that was killed left it
        try:
            place.mkdir()
        except FileExistsError as error:
            raise AllocmarkError(f"{place}: is left of a build and cannot be removed: remove it") from error
        try:
            yield place
        finally:
            _remove(place)


def _remove(folder: Path) -> None:
    """Also what a build has protected against that."""
    for parent, folders, _ in os.walk(folder):
        for each in (Path(parent, name) for name in folders):
            if not each.is_symlink():
                each.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _run(commands: tuple[str, ...], files: Path, log: Path) -> str | None:
    """Run the commands of a recipe. None when all succeed, else the line that tells why not."""
    environ = {name: value for name, value in environ_of_git().items() if name not in _OF_MAKE}
    environ |= {"ALLOCMARK_INCLUDE": get_include(), "LC_ALL": "C.UTF-8"}  # messages in English: the cause is looked for
    with log.open("wb", buffering=0) as output:
        for command in commands:
            output.write(f"+ {command}\n".encode())
            begin = output.tell()
            running = subprocess.Popen(
                ["sh", "-c", command],
                cwd=files,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                if reason := _wait(running, log):
                    return reason
            finally:
                with suppress(ProcessLookupError):  # what it left behind
                    os.killpg(running.pid, signal.SIGKILL)
                running.wait()
            if status := running.returncode:
                said = _said(log, begin)
                return cause(said) if said.strip() else f"{command}: exit status {status}"
    return None


def _wait(running: subprocess.Popen[bytes], log: Path) -> str | None:
    """Until the command ends. None when it did, else why it was not waited for any longer."""
    last = time.monotonic() + BUILD_SECONDS
    while time.monotonic() < last:
        with suppress(subprocess.TimeoutExpired):
            running.wait(_LOOK_SECONDS)
            return None
        if log.stat().st_size > _MOST_PRINTED:
            return f"its build printed more than {_MOST_PRINTED >> 20} MB"
    return f"its build took more than {BUILD_SECONDS} s"


def _said(log: Path, begin: int) -> str:
    """What a command printed, from ``begin`` on; of very much only the beginning and the end."""
    with log.open("rb") as file:
        file.seek(begin)
        said = file.read(_MOST_READ)
        file.seek(max(file.tell(), log.stat().st_size - _MOST_READ))
        return (said + file.read()).decode(errors="replace")


def _take_out(library: Library, files: Path, folder: Path) -> None:
    """Copy the library's file into ``folder``, if the build has made it."""
    folder.mkdir()
    made = files / library.path
    if made.is_file():
        shutil.copy(made, folder / made.name)


def _pack(library: Library, file: Path, wheels: Path) -> str | None:
    """Put the library's ``file`` into a wheel. None, or why it cannot be measured."""
    if not file.exists():
        return f"its build made no {library.path}: library of [backend.{library.name}] in {FILE} names another file"
    try:
        LibraryFile.read(file)
        if library.interface == "malloc":
            given_library(f"so:{file}", library.prefix, ())
    except NotLoadableError as error:
        return f"{library.path} {error}"
    except UsageError as error:
        return f"{library.path}: {error}".replace(f"so:{file}: ", "")
    pack_library(library, file, wheels)
    return None


def submodules_said(empty: list[str]) -> str:
    """To be added to the reason of a build that failed; "" where no submodule is missing."""
    if not empty:
        return ""
    return (
        f" (the git submodule {', '.join(empty)} is not in this clone, so its folder is empty: "
        "`git submodule update --init --recursive` brings it)"
    )
