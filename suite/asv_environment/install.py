# SPDX-License-Identifier: BSD-3-Clause
"""asv's install step: ``python -m asv_environment.install BUILD_DIR COMMIT CACHE``, run in an asv environment.

Installs the harness of this working tree and the backends of the commit that is checked out in BUILD_DIR, and removes
backends of other commits. Which backends were built, and why others were not, is written to `status_file` (the
benchmarks read it) and to ``CACHE/commits/COMMIT.json`` (for people).

Standard library only: this runs before the harness and what it needs are installed.
"""

from __future__ import annotations

import json
import sys
import sysconfig
import tomllib
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from allocmark.errors import AllocmarkError
from allocmark.gate.revisions.build_backends import Built, build_backends, find_backends
from allocmark.gate.revisions.wheel import pip
from asv_environment.harness import build_harness, installed_from

REPOSITORY = Path(__file__).parents[2]
HARNESS = "allocmark"


def status_file() -> Path:
    """The file of an environment that lists its backends, and why others are missing."""
    return Path(sys.prefix, "allocmark-backends.json")


def install(build_dir: Path, commit: str, cache: Path) -> dict[str, Any]:
    """Install, and return what `status_file` then holds. Raises AllocmarkError when the harness cannot be installed."""
    python = Path(sys.executable)
    requirements = _bring(_requirements(REPOSITORY, build_dir))
    status_file().unlink(missing_ok=True)  # what follows may be interrupted
    harness = build_harness(REPOSITORY, cache, python)
    if _origins().get(HARNESS) != harness.as_uri():
        _say("the harness of the working tree")
        pip("install", "--quiet", "--no-index", "--no-deps", "--force-reinstall", str(harness))
        pip("install", "--quiet", str(harness))  # what it needs
    built = build_backends(build_dir, cache, python=python)
    _install_backends(built)
    status = {"commit": commit, "backends": [asdict(each) for each in built], "requirements": requirements}
    text = json.dumps(status, indent=1, default=str) + "\n"
    commits = cache / "commits"
    commits.mkdir(exist_ok=True)
    for file in (commits / f"{commit}.json", status_file()):
        file.write_text(text)
    return status


def _bring(requirements: list[str]) -> list[str]:
    """Install ``requirements`` and return them. When that fails, return none: the build that needs them will say so."""
    try:
        if json.loads(status_file().read_text()).get("requirements") == requirements:
            return requirements
    except (FileNotFoundError, ValueError):
        pass  # new, or interrupted
    try:
        pip("install", "--quiet", *requirements)
    except AllocmarkError as error:
        _say(str(error))
        return []
    return requirements


def _install_backends(built: Sequence[Built]) -> None:
    wheels = {each.wheel.as_uri(): each.wheel for each in built if each.wheel}
    there = {name: origin for name, origin in _origins().items() if name != HARNESS}
    gone = [name for name, origin in there.items() if origin not in wheels]
    if gone:
        pip("uninstall", "--quiet", "--yes", *gone)
    new = [str(wheel) for origin, wheel in wheels.items() if origin not in there.values()]
    if new:
        pip("install", "--quiet", "--no-index", "--no-deps", "--force-reinstall", *new)
    for each in built:
        _say(f"{each.name}: {each.reason or 'ready'}")
    if not built:
        _say("this commit has no backends")


def _origins() -> dict[str, str]:
    """By name of the harness and of each installed plugin: the URL it was installed from."""

    def is_ours(found: Distribution) -> bool:
        return found.name == HARNESS or bool(found.entry_points.select(group="allocmark"))

    # Of the environment only: the working tree, where this runs, has metadata of its own.
    found = distributions(path=list({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    return {each.name: installed_from(each) for each in found if is_ours(each)}


def _requirements(repository: Path, build_dir: Path) -> list[str]:
    """What the harness and the backends need to build, and the backends need to run, less the harness itself."""
    wanted: set[str] = set()
    for folder in (repository, *find_backends(build_dir)):
        try:
            project = tomllib.loads((folder / "pyproject.toml").read_text())
        except ValueError:
            continue  # its build will say so
        wanted |= set(project.get("build-system", {}).get("requires", []))
        if folder != repository:
            described = project.get("project", {})
            wanted |= set(described.get("dependencies", []))
            wanted |= set(described.get("optional-dependencies", {}).get("library", []))  # what it measures
    return sorted(each for each in wanted if not each.startswith(HARNESS))


def _say(line: str) -> None:
    print(f"allocmark: {line}", flush=True)  # asv ends a command that is silent for long


def main() -> int:
    """The command. Exit status 2, with one line, when nothing can be measured."""
    build_dir, commit, cache = sys.argv[1:]
    try:
        install(Path(build_dir), commit, Path(cache))
    except AllocmarkError as error:
        print(f"allocmark: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
