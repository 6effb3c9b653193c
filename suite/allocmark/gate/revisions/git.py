# SPDX-License-Identifier: BSD-3-Clause
"""git: names of commits, and a commit as a folder. The repository, its index and its working tree do not change."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
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


def lay_out(repository: Path, name: str, files: Path) -> list[str]:
    """Write all files of a commit, and of its submodules, into the empty folder ``files``.

    Submodules come from the clone, where `git submodule update --init` put them; nothing is downloaded. Returns the
    paths of those that are not there: their folders stay empty. Raises as `resolve` does.
    """
    commit = resolve(repository, name)
    tree = top_folder(repository)
    own = Path(git_path(repository, "rev-parse", "--absolute-git-dir"))
    common = Path(repository, git_path(repository, "rev-parse", "--git-common-dir")).absolute()
    with TemporaryDirectory(prefix="allocmark-") as work:
        return _lay_out([own, common], tree, commit, files, Path(work, "index"))


def _lay_out(places: Sequence[Path], tree: Path, commit: str, files: Path, index: Path) -> list[str]:
    """``places``: the git folder of the working tree ``tree``, and the one that it shares with others."""
    # An index of its own: even a process that is killed leaves nothing in the repository.
    environ = {"GIT_DIR": str(places[0]), "GIT_WORK_TREE": str(files), "GIT_INDEX_FILE": str(index)}
    git(files, "read-tree", "--no-sparse-checkout", commit, environ=environ)
    git(files, "checkout-index", "--all", environ=environ)
    index.unlink()
    entries = git(files, "ls-tree", "-r", "-z", "--full-tree", commit, environ=environ).split("\0")
    empty = []
    for entry in entries:
        mode, _, rest = entry.partition(" ")
        if mode != "160000":
            continue
        linked, path = rest.removeprefix("commit ").split("\t")
        module = _module(places, tree, files, path, linked)
        inside = _lay_out([module], tree / path, linked, files / path, index) if module else [""]
        empty += [f"{path}/{each}".rstrip("/") for each in inside]
    return empty


def _module(places: Sequence[Path], tree: Path, files: Path, path: str, commit: str) -> Path | None:
    """The git folder of the submodule at ``path``, if this clone has its ``commit``.

    One that was a repository before it became a submodule has it in its own folder.
    """
    told = ("config", "--null", "--file", str(files / ".gitmodules"), "--get-regexp", r"^submodule\..*\.path$")
    paths = [each.partition("\n") for each in _run(files, *told).stdout.split("\0")]
    names = [key.removeprefix("submodule.").removesuffix(".path") for key, _, value in paths if value == path]
    for folder in [*(place / "modules" / name for name in names for place in places), tree / path / ".git"]:
        environ = {"GIT_DIR": str(folder), "GIT_WORK_TREE": str(files)}
        if folder.is_dir() and not _run(files, "cat-file", "-e", f"{commit}^{{commit}}", environ=environ).returncode:
            return folder
    return None


def top_folder(repository: Path) -> Path:
    """The top folder of the working tree that ``repository`` is in."""
    return Path(git_path(repository, "rev-parse", "--show-toplevel"))


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
