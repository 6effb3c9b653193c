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

from allocmark.gate.revisions.wheel import ask, build_wheel, digest, ignore_products, short_digest, toolchain


@dataclass(frozen=True)
class Built:
    """One backend of a checkout: its wheel, or the reason why there is none."""

    name: str  #: of its folder under ``backends/``
    distribution: str  #: its name in pyproject.toml; the folder's name when that cannot be read
    wheel: Path | None
    log: Path  #: the output of the build
    reason: str | None  #: one line; None exactly when there is a wheel


def find_backends(checkout: Path) -> list[Path]:
    """The folders of a checkout's backends, ``backends/NAME/`` with a pyproject.toml, sorted."""
    return sorted(file.parent for file in checkout.glob("backends/*/pyproject.toml"))


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
    return [_build(folder, cache.absolute(), python, surroundings) for folder in folders]


def _build(folder: Path, cache: Path, python: Path, surroundings: str) -> Built:
    kept = cache / f"{folder.name}-{short_digest(digest(folder), surroundings)}"

    def lay_out(target: Path) -> None:
        shutil.copytree(folder, target, symlinks=True, ignore=ignore_products)

    return Built(folder.name, _distribution(folder), *build_wheel(lay_out, kept, python))


def _distribution(folder: Path) -> str:
    try:
        return str(tomllib.loads((folder / "pyproject.toml").read_text())["project"]["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return folder.name  # the build will say what is wrong
