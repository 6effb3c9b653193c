# SPDX-License-Identifier: BSD-3-Clause
"""What `allocmark new-backend` writes, used as its README says: its own tests, asv, and pip's usual isolation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support import output, packages_in

from allocmark.new_backend import KINDS, write
from fixtures.histories import NOBODY

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", params=KINDS)
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The distribution of a kind, installed, and the environment in which it is."""
    folder = tmp_path_factory.mktemp(request.param)
    environ = packages_in(folder / "packages") | NOBODY | {"HOME": str(folder)}
    environ["ASV_PYTHONPATH"] = environ["PYTHONPATH"]  # as asv takes the other one out
    write("mine", request.param, folder / "mine")
    output("pip", "install", "-e", ".", cwd=folder / "mine", env=environ)
    return folder / "mine", environ


def test_its_own_tests_pass(installed):
    folder, environ = installed
    assert " passed" in output("pytest", "-q", "tests", cwd=folder, env=environ)


def test_asv_measures_it(installed):
    folder, environ = installed
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "begun"]):
        output("git", *command, cwd=folder, env=environ)
    commit = output("git", "rev-parse", "HEAD", cwd=folder, env=environ).strip()
    output("asv", "machine", "--yes", cwd=folder, env=environ)
    said = output("asv", "run", "--set-commit-hash", commit, cwd=folder, env=environ)
    assert "backend.Burst.track_cost" in said
    assert "failed" not in said
    output("asv", "publish", cwd=folder, env=environ)
    assert (folder / ".asv" / "html" / "index.html").is_file()


def test_pip_builds_it_in_isolation_with_the_installed_allocmark(tmp_path):
    """It fetches setuptools and cffi, so it needs a network or a cache."""
    write("mine", "cxx", tmp_path / "mine")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    if subprocess.run([*pip, "download", "-qd", tmp_path, "--no-deps", "cffi"], capture_output=True).returncode:
        pytest.skip("there is no package index")
    output(*pip, "wheel", "--no-deps", "-w", tmp_path / "wheels", tmp_path / "mine")
    assert len(list((tmp_path / "wheels").glob("allocmark_mine-*.whl"))) == 1
