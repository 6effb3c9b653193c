# SPDX-License-Identifier: BSD-3-Clause
"""asv.conf.json: which one, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from allocmark.asv import gather
from allocmark.errors import UsageError

CONFIG = "asv.conf.json"
_PLUGIN = ".allocmark.asv.publisher"


def config_of(repository: Path) -> Path:
    """The repository's asv.conf.json. Raises UsageError when there is none."""
    config = repository / CONFIG
    if not config.is_file():
        raise UsageError(f"{config} does not exist: choose a repository that has it with -C")
    return config


def read_settings(config: Path | None) -> dict[str, Any]:
    """The keys of asv.conf.json, or asv's defaults without it; paths are absolute."""
    path = (config or Path(CONFIG)).absolute()
    base = path.parent
    members: dict[str, Any] = {}
    if config is not None or path.exists():
        try:
            import json5  # of asv, which allows comments

            members = json5.loads(path.read_text(encoding="utf-8"))
        except ImportError as error:
            raise UsageError(
                f"{path}: cannot be read without asv: `pip install 'allocmark[asv]'` (`allocmark publish` needs asv "
                f"only where there is a {CONFIG})"
            ) from error
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise UsageError(f"{path}: not a configuration of asv: {error}") from error
        if not isinstance(members, dict):
            raise UsageError(f"{path}: not a configuration of asv: expected an object")
    for key, default in (("results_dir", "results"), ("html_dir", "html"), ("env_dir", "env")):
        members[key] = str(base / members.get(key, default))
    if (base / members.get("repo", ".")).exists():
        members["repo"] = str(base / members.get("repo", "."))
    members["runs"] = [str(base / pattern) for pattern in members.get("runs", gather.RUNS)]
    members["conformance"] = [str(base / pattern) for pattern in members.get("conformance", gather.CONFORMANCE)]
    members["plugins"] = [name for name in members.get("plugins", []) if name != _PLUGIN] + [_PLUGIN]
    members["base"] = str(base)
    return members
