# SPDX-License-Identifier: BSD-3-Clause
"""Runs asv with the options that tracking needs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from allocmark.asv.settings import config_file
from allocmark.errors import AllocmarkError
from allocmark.gate.revisions.git import environ_of_git, git
from allocmark.system import machine

_OF_ASV = re.compile(r"(NEW|ALL|EXISTING|HASHFILE:.*|-.*)\Z")  # what asv itself calls commits


def run(repository: Path, commits: str, more: Sequence[str]) -> int:
    """``asv run`` on a range of commits; keeps samples, leaves out commits with results. Returns asv's exit status.

    After a kill, the same call continues. Raises AllocmarkError without asv, or without a configuration: asv.conf.json,
    or allocmark.toml.
    """
    if find_spec("asv") is None:
        raise AllocmarkError("asv is not installed: `pip install 'allocmark[asv]'`")
    if variables := machine.malloc_variables():
        raise AllocmarkError(
            f"{', '.join(variables)} is set, which changes malloc: the history would keep that as a change of the "
            "commits: unset it first"
        )
    config = config_file(repository)
    if not _OF_ASV.match(commits):
        git(repository, "rev-list", "--max-count=1", commits, "--")  # asv answers with a traceback
    if not (Path.home() / ".asv-machine.json").exists():
        _asv(config, "machine", "--yes")
    return _asv(config, "run", commits, "--record-samples", "--skip-existing", *more)


def _asv(config: Path, *arguments: str) -> int:
    command = [sys.executable, "-m", "asv", "--config", config.name, *arguments]
    return subprocess.run(command, cwd=config.parent, env=environ_of_git(), check=False).returncode
