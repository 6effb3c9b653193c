# SPDX-License-Identifier: BSD-3-Clause
"""asv.conf.json: which one, and what it says; and the configuration of a repository with an allocmark.toml instead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from allocmark.asv import gather
from allocmark.errors import UsageError, show
from allocmark.gate.revisions.git import top_folder
from allocmark.gate.revisions.recipe import FILE as RECIPE
from allocmark.gate.revisions.recipe import read_recipe

CONFIG = "asv.conf.json"
STATE = ".asv"  #: the folder of what asv keeps of a repository with an allocmark.toml
_PLUGIN = ".allocmark.asv.publisher"
_TEXTS = ("repo", "results_dir", "html_dir", "env_dir")
_LISTS = ("branches", "runs", "conformance", "plugins")


def config_of(repository: Path) -> Path | None:
    """The repository's asv.conf.json; None where allocmark.toml takes its place. Raises UsageError without both."""
    config = repository / CONFIG
    if config.is_file():
        return config
    if read_recipe(top_folder(repository)):
        return None
    raise UsageError(
        f"{config} does not exist, nor {RECIPE}: choose a repository that has one with -C; "
        "`allocmark track init` writes the latter"
    )


def config_file(repository: Path) -> Path:
    """A file that asv can read: the repository's asv.conf.json, or one made of its allocmark.toml."""
    config = config_of(repository)
    if config is None:
        top = top_folder(repository)
        config = top / STATE / CONFIG
        try:
            config.parent.mkdir(exist_ok=True)
            (config.parent / ".gitignore").write_text("*\n")
            config.write_text(json.dumps(recipe_settings(top), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{config.parent}: the history cannot be kept there: {error.strerror}") from error
    return config


def read_settings(config: Path | None, folder: Path = Path()) -> dict[str, Any]:
    """The keys of asv.conf.json, by default that of ``folder``; without it what `recipe_settings` says, or asv's
    defaults. Paths are absolute."""
    path = (config or folder / CONFIG).absolute()
    base = path.parent
    members: dict[str, Any] = {}
    if config is not None or path.exists():
        members = _read(path)
    elif (base / RECIPE).is_file():
        members = recipe_settings(base)
    for key, default in (("results_dir", "results"), ("html_dir", "html"), ("env_dir", "env")):
        members[key] = str(base / members.get(key, default))
    if (base / members.get("repo", ".")).exists():
        members["repo"] = str(base / members.get("repo", "."))
    members["runs"] = [str(base / pattern) for pattern in members.get("runs", gather.RUNS)]
    members["conformance"] = [str(base / pattern) for pattern in members.get("conformance", gather.CONFORMANCE)]
    members["plugins"] = [name for name in members.get("plugins", []) if name != _PLUGIN] + [_PLUGIN]
    members["base"] = str(base)
    return members


def _read(path: Path) -> dict[str, Any]:
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
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not a configuration of asv: {error}") from error
    if not isinstance(members, dict):
        raise UsageError(f"{path}: not a configuration of asv: expected an object")
    for key, value in members.items():
        if key in _TEXTS and not isinstance(value, str):
            raise UsageError(f'{path}: "{key}" is {show(value)}: expected a text')
        listed = isinstance(value, list) and all(isinstance(each, str) for each in value)
        if key in _LISTS and not listed and not (key == "branches" and value is None):
            raise UsageError(f'{path}: "{key}" is {show(value)}: expected a list of texts')
    return members


def recipe_settings(top: Path) -> dict[str, Any]:
    """The configuration of asv for the repository in ``top``, which has an allocmark.toml; see `recipe_environment`."""
    return {
        "version": 1,
        "project": top.resolve().name,
        "repo": str(top),
        "branches": ["HEAD"],
        "plugins": [".allocmark.asv.recipe_environment"],
        "environment_type": "allocmark_toml",
        # asv forks the process that asks for a sample; that process starts a fresh one, which is measured.
        "launch_method": "forkserver",
        "benchmark_dir": str(Path(__file__).parent / "recipe_benchmarks"),
        **{f"{name}_dir": str(top / STATE / name) for name in ("env", "results", "html")},
    }
