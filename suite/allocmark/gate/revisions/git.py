# SPDX-License-Identifier: BSD-3-Clause
"""git: names of commits, and a commit as a folder. The repository, its index and its working tree do not change."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from allocmark.errors import AllocmarkError

_ANOTHER_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_NAMESPACE")


def resolve(repository: Path, name: str) -> str:
    """The full hash of a commit; ``name`` is a hash, a branch, or ``HEAD~3``.

    Raises AllocmarkError when ``repository`` is in no git repository, or has no such commit.
    """
    git(repository, "rev-parse", "--git-dir")
    found = _run(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if found.returncode:
        raise AllocmarkError(f"{repository} has no commit {name!r}: see `git log`; a shallow clone lacks old commits")
    return found.stdout.strip()


def submodules(repository: Path, commit: str) -> list[str]:
    """The paths of a commit's submodules; `checked_out` leaves them empty."""
    entries = git(repository, "ls-tree", "-r", "-z", "--full-tree", commit).split("\0")
    return [entry.partition("\t")[2] for entry in entries if entry.startswith("160000 ")]


@contextmanager
def checked_out(repository: Path, name: str) -> Iterator[Path]:
    """A folder with all files of a commit, for as long as the context lasts. Raises as `resolve` does."""
    commit = resolve(repository, name)
    with TemporaryDirectory(prefix="allocmark-") as folder:
        files = Path(folder, "files")
        files.mkdir()
        # An index of its own: even a process that is killed leaves nothing in the repository.
        environ = {
            "GIT_DIR": git_path(repository, "rev-parse", "--absolute-git-dir"),
            "GIT_WORK_TREE": str(files),
            "GIT_INDEX_FILE": os.path.join(folder, "index"),
        }
        git(files, "read-tree", commit, environ=environ)
        git(files, "checkout-index", "--all", environ=environ)
        yield files


def git_path(repository: Path, *arguments: str) -> str:
    """The path that a git command prints, whatever bytes it has."""
    return git(repository, *arguments, errors="surrogateescape").removesuffix("\n")


def environ_of_git() -> dict[str, str]:
    """For git, or what calls it: the repository is that of the folder, also in a hook of another one."""
    return {name: value for name, value in os.environ.items() if name not in _ANOTHER_REPOSITORY}


def git(repository: Path, *arguments: str, environ: Mapping[str, str] | None = None, errors: str = "replace") -> str:
    """What a git command prints. Raises AllocmarkError with its error message when it fails."""
    done = _run(repository, *arguments, environ=environ, errors=errors)
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        raise AllocmarkError(f"git {arguments[0]} failed in {repository}: {said}")
    return done.stdout


def _run(
    repository: Path, *arguments: str, environ: Mapping[str, str] | None = None, errors: str = "replace"
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=repository,
            env={**environ_of_git(), "LC_ALL": "C", **(environ or {})},
            capture_output=True,
            encoding="utf-8",
            errors=errors,  # the message of a commit may be in any encoding
            check=False,
        )
    except FileNotFoundError as error:
        what = "git is not installed" if repository.is_dir() else f"there is no folder {repository}"
        raise AllocmarkError(f"no revision can be read: {what}") from error
    except OSError as error:
        raise AllocmarkError(f"no revision can be read from {repository}: {error}") from error
