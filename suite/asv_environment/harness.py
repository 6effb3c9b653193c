# SPDX-License-Identifier: BSD-3-Clause
"""The harness that measures every commit: the allocmark of the working tree, identified by a fingerprint."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.metadata import Distribution
from pathlib import Path

from allocmark.errors import AllocmarkError
from allocmark.gate.revisions.wheel import build_wheel, digest, ignore_products, short_digest, toolchain

_FILES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")  # what its build reads beside the package
# No figure depends on these: an edit there needs no other harness.
_BESIDE = {"asv", "cli", "conformance", "fleet", "new_backend", "output", "sizing", "validate"}


def fingerprint(repository: Path) -> str:
    """16 hexadecimal digits that change with everything in the working tree that a figure may depend on."""
    package = repository / "suite" / "allocmark"
    parts = [digest(repository / "workloads"), digest(repository / "suite" / "asv_environment")]
    for path in sorted(package.iterdir()):
        if path.name in _BESIDE or path.name in ignore_products(str(package), [path.name]):
            continue
        parts += [path.name, digest(path) if path.is_dir() else path.read_text()]
    return short_digest(*parts, *((repository / name).read_text() for name in ("pyproject.toml", "setup.py")))


def build_harness(repository: Path, cache: Path, python: Path) -> Path:
    """The wheel of the working tree's harness, from ``cache`` if it is there. Raises AllocmarkError with the cause."""
    kept = cache.absolute() / f"allocmark-{fingerprint(repository)}-{short_digest(toolchain(python))}"
    wheel, log, reason = build_wheel(_layout(repository), kept, python)
    if wheel is None:
        raise AllocmarkError(f"the harness of {repository} does not build: {reason}; see {log}")
    return wheel


def installed_from(distribution: Distribution) -> str:
    """The URL from which pip installed a distribution; "" when that was a package index.

    Our wheels lie in folders named after their content, so the URL tells one build from another.
    """
    origin = distribution.read_text("direct_url.json")
    return str(json.loads(origin)["url"]) if origin else ""


def is_current(distribution: Distribution, repository: Path) -> bool:
    """Whether the installed ``distribution`` of the harness is what now lies in ``repository``'s working tree."""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        return True  # it is a working tree, not a copy of one
    return f"/allocmark-{fingerprint(repository)}-" in origin.get("url", "")


def _layout(repository: Path) -> Callable[[Path], None]:
    def lay_out(target: Path) -> None:
        package = Path("suite", "allocmark")
        for folder in (package, Path("workloads")):  # to which the package has a link
            shutil.copytree(repository / folder, target / folder, symlinks=True, ignore=ignore_products)
        for name in _FILES:
            shutil.copy(repository / name, target / name)

    return lay_out
