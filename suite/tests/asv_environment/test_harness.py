# SPDX-License-Identifier: BSD-3-Clause
"""The fingerprint of the harness changes with what a figure may depend on, and with nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from allocmark.gate.revisions.wheel import digest, ignore_products
from asv_environment.harness import fingerprint, is_current

ROOT = Path(__file__).parents[3]


@pytest.fixture
def tree(tmp_path):
    """A copy of the working tree, as far as the harness goes."""
    for name in ("suite/allocmark", "suite/asv_environment", "workloads"):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=ignore_products)
    for name in ("pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def append(file: Path) -> None:
    with file.open("a") as text:
        text.write("\n")


def test_copies_have_the_same(tree):
    assert fingerprint(tree) == fingerprint(ROOT)


@pytest.mark.parametrize(
    "name",
    [
        "suite/allocmark/engine/native/interpreter.hpp",
        "suite/allocmark/engine/include/allocmark/backend.h",
        "suite/allocmark/measuring/worker.py",
        "suite/allocmark/plugins.py",
        "suite/asv_environment/install.py",
        "workloads/burst.yaml",
        "pyproject.toml",
    ],
)
def test_what_may_change_a_figure_changes_it(tree, name):
    before = fingerprint(tree)
    append(tree / name)
    assert fingerprint(tree) != before


@pytest.mark.parametrize(
    "name",
    ["suite/allocmark/asv/history.py", "suite/allocmark/cli/show.py", "suite/allocmark/output/text/run_table.py"],
)
def test_what_only_shows_figures_does_not(tree, name):
    before = fingerprint(tree)
    append(tree / name)
    assert fingerprint(tree) == before


def test_what_a_build_leaves_does_not(tree):
    before = fingerprint(tree)
    for name in (
        "suite/allocmark/engine/_engine.abi3.so",
        "suite/allocmark/__pycache__/x.pyc",
        "suite/allocmark/_engine.cpp",
    ):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text("built")
    assert fingerprint(tree) == before


def test_a_file_that_moves_changes_it(tree):
    before = digest(tree / "workloads")
    (tree / "workloads" / "burst.yaml").rename(tree / "workloads" / "burst2.yaml")
    assert digest(tree / "workloads") != before


class Installed:
    """As much of an installed distribution as is asked for."""

    def __init__(self, **origin: object) -> None:
        self.origin = origin

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return json.dumps(self.origin) if self.origin else None


def test_the_installed_harness_is_compared_with_the_working_tree(tree):
    wheel = Installed(url=f"file:///cache/allocmark-{fingerprint(tree)}-0123/allocmark-1.whl", archive_info={})
    assert is_current(wheel, tree)
    append(tree / "workloads" / "burst.yaml")
    assert not is_current(wheel, tree)
    assert is_current(Installed(url="file:///tree", dir_info={"editable": True}), tree)
    assert not is_current(Installed(), tree)  # from an index
