# SPDX-License-Identifier: BSD-3-Clause
"""Builds each backend of a checkout against the backend.h of the allocmark that is installed.

Wheels are cached under a digest of what they are made from, so a commit builds only what changed. Failures are not
cached: the cause may be the machine.
"""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allocmark.gate.revisions.wheel import ask, build_wheel, digest, ignore_products, short_digest, toolchain


@dataclass(frozen=True)
class Built:
    """One backend of a checkout: its wheel, or the reason why there is none."""

    name: str  #: of its folder under ``backends/``; "own" for that of the top folder
    distribution: str  #: its name in pyproject.toml; the folder's name when that cannot be read
    wheel: Path | None
    log: Path  #: the output of the build
    reason: str | None  #: one line; None exactly when there is a wheel


def find_backends(checkout: Path) -> list[Path]:
    """The folders of a checkout's backends, sorted: ``backends/NAME/`` with a pyproject.toml, and the checkout itself
    where its own pyproject.toml registers a plugin of allocmark."""
    own = [checkout] if _project(checkout).get("entry-points", {}).get("allocmark") else []
    return own + sorted(file.parent for file in checkout.glob("backends/*/pyproject.toml"))


def build_backends(checkout: Path, cache: Path, *, python: Path) -> list[Built]:
    """Build every backend of ``checkout``; sorted by name, empty when there are none.

    Nothing is written into ``checkout`` and nothing is downloaded. Wheels and logs go to ``cache``, which several
    processes may use at once. ``python`` needs allocmark, setuptools, cffi, and what else the backends build with.
    Raises AllocmarkError without the first three. A backend that does not build is an entry with its ``reason``.
    """
    folders = find_backends(checkout)
    if not folders:
        return []
    include = Path(ask(python, "import allocmark; print(allocmark.get_include(), end='')"))
    surroundings = digest(include) + toolchain(python)
    names = {folder: "own" if folder == checkout else folder.name for folder in folders}
    return [_build(folder, name, cache.absolute(), python, surroundings) for folder, name in names.items()]


def _build(folder: Path, name: str, cache: Path, python: Path, surroundings: str) -> Built:
    kept = cache / f"{name}-{short_digest(digest(folder), surroundings)}"

    def lay_out(target: Path) -> None:
        shutil.copytree(folder, target, symlinks=True, ignore=ignore_products)

    return Built(name, str(_project(folder).get("name", name)), *build_wheel(lay_out, kept, python))


def _project(folder: Path) -> dict[str, Any]:
    """The table [project] of pyproject.toml; an empty one where it cannot be read: the build will say what is wrong."""
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    except (OSError, ValueError, KeyError):
        return {}
    return project if isinstance(project, dict) else {}
