# SPDX-License-Identifier: BSD-3-Clause
"""A plugin of a package of its own, outside of the host, is built, installed and found."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from support import output

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "allocmark-freelist"


def allocmark(installed: Path, *arguments: str) -> str:
    command = Path(sys.executable).with_name("allocmark")
    return output(command, *arguments, env={**os.environ, "PYTHONPATH": str(installed)})


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example installed from a wheel, as a user's machine gets it."""
    folder = tmp_path_factory.mktemp("example")
    source = shutil.copytree(EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("build", "*.so", "*.egg-info"))
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    output(*pip, "wheel", "--no-build-isolation", "--no-deps", "-w", folder, source)
    (wheel,) = folder.glob("*.whl")
    output(*pip, "install", "--no-deps", "--target", folder / "site", wheel)
    return folder / "site"


def test_the_example_is_found_with_its_distribution(installed):
    listed = json.loads(allocmark(installed, "list", "backends", "--json"))
    default, thp = [each for each in listed if each["name"] == "freelist"]
    assert (default["variant"], thp["variant"]) == ("default", "thp")
    assert default["distribution"].split()[0] == "allocmark-freelist"
    assert default["version"] == "0.1.0"
    assert default["available"] is True
    assert thp["available"] or "transparent huge pages" in thp["reason"]


def test_the_example_measures_and_is_correct(installed, tmp_path):
    cell = ["burst", "--set", "bulk=8", "--set", "keep=128", "--short", "-b", "freelist:*"]
    for how in (["--rounds", "2", "--blocks", "2", "--sample-ms", "1"], ["--verify"]):
        done = json.loads(allocmark(installed, "run", *cell, *how, "-o", tmp_path / how[0][2:], "--json", "-"))
        found = {each["variant"]: each for each in done["cells"] if each["backend"] == "freelist"}
        assert set(found) == {"default", "thp"}
        for each in found.values():
            assert each["status"] in ("ok", "unavailable"), each["reason"]


def test_the_example_is_not_found_where_it_is_not_installed(tmp_path):
    listed = json.loads(allocmark(tmp_path, "list", "backends", "--json"))
    assert listed
    assert "freelist" not in {each["name"] for each in listed}
