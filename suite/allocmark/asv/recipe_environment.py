# SPDX-License-Identifier: BSD-3-Clause
"""A plugin of asv: measures the commits of a repository with an allocmark.toml, with the allocmark that is installed.

No environment is made: the libraries of a commit are built and put into a folder as for a gate.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from asv.environment import Environment  # type: ignore[import-untyped]
from asv.util import UserError  # type: ignore[import-untyped]

from allocmark.asv.recipe_status import VARIABLE, Status
from allocmark.errors import AllocmarkError
from allocmark.gate.gate import state_folder
from allocmark.gate.revisions.recipe import read_recipe
from allocmark.gate.revisions.side import prepare
from allocmark.new_backend import distribution_of


class RecipeEnvironment(Environment):  # type: ignore[misc]  # asv has no types
    """The Python that runs asv, beside the libraries of one commit."""

    tool_name = "allocmark_toml"
    _built: str | None = None

    def __init__(self, conf: Any, python: str, requirements: Any, variables: Any) -> None:
        self._python, self._requirements = python, requirements  # asv asks for them before it sets them
        super().__init__(conf, python, requirements, variables)

    @property
    def installed_commit_hash(self) -> str | None:
        """The commit whose libraries are measured next."""
        return self._built

    def check_presence(self) -> bool:
        """asv's question whether the environment is there: it makes a folder, no more."""
        return False

    def _setup(self) -> None:
        Path(self._path).mkdir(parents=True)

    def install_project(self, conf: Any, repo: Any, commit_hash: str) -> None:
        """Build a commit. One that does not build is no error: its cells fail, and say why."""
        repository = Path(conf.repo)
        try:
            recipe = read_recipe(repository)
            if recipe is None:
                raise AllocmarkError(f"{repository} has no allocmark.toml any more")
            side = prepare(repository, commit_hash, state_folder(repository))
        except AllocmarkError as error:
            raise UserError(str(error)) from error
        why = {f"{each.name}:default": side.why_not(distribution_of(each.name)) for each in recipe.libraries}
        reasons = {label: reason for label, reason in why.items() if reason}
        for label, reason in reasons.items():
            print(f"allocmark: {label} of {commit_hash[:8]}: {reason}", flush=True)
        file = Path(self._path, "status.json")
        status = Status(commit_hash, side.prefix, ["null:default", *why], reasons, recipe.workload_names())
        status.write(file)
        self._global_env_vars[VARIABLE] = str(file)
        self._set_commit_hash(commit_hash)
        self._built = commit_hash

    def find_executable(self, executable: str) -> str:
        """Only Python is asked for."""
        return sys.executable

    def run(self, args: Any, **options: Any) -> Any:
        """Run Python with these arguments."""
        return self.run_executable("python", args, **options)
