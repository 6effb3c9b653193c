# SPDX-License-Identifier: BSD-3-Clause
"""Wheels and source distributions of allocmark and its backends, built from a clean clone and used far from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import output

from fixtures.c_repository import CRepository

# Minutes: the engine is compiled twice, and pip brings what everything needs.
pytestmark = [pytest.mark.long, pytest.mark.alone, pytest.mark.timeout(3000)]

ROOT = Path(__file__).parents[2]
BACKENDS = sorted(folder.name for folder in (ROOT / "backends").iterdir() if (folder / "pyproject.toml").is_file())
CELL = ["--set", "bulk=8", "--set", "keep=128", "--rounds", "2", "--blocks", "2", "--sample-ms", "2", "--short"]
SDIST = "import setuptools.build_meta as build, sys; build.build_sdist(sys.argv[1])"


def call(*command: str | Path, **options: object) -> str:
    """As `output`, for what takes minutes."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=1500, check=False, **options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A clone of what is committed, with the wheels of everything in ``wheels``; nothing is installed beside it."""
    folder = tmp_path_factory.mktemp("wheels")
    if subprocess.run([sys.executable, "-m", "pip", "download", "-qd", folder / "try", "--no-deps", "cffi"]).returncode:
        pytest.skip("there is no package index")
    call("git", "clone", "-q", ROOT, folder / "clone")
    call(sys.executable, "-m", "venv", folder / "builder")
    pip = [folder / "builder" / "bin" / "pip", "wheel", "-q", "--no-deps", "-w", folder / "wheels"]
    call(*pip, ".", *(f"./backends/{name}" for name in BACKENDS), cwd=folder / "clone")
    return folder


@pytest.fixture(scope="module")
def installed(clean):
    """Runs a command of a fresh environment with these wheels, in ``installed.folder``."""
    folder = clean / "elsewhere"
    folder.mkdir()
    call(sys.executable, "-m", "venv", folder / "venv")
    wheels = [*(clean / "wheels").glob("allocmark_*.whl")]
    (host,) = (clean / "wheels").glob("allocmark-*.whl")
    call(folder / "venv/bin/pip", "install", "-q", f"allocmark[asv] @ {host.as_uri()}", *wheels)
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"HOME": str(folder)}

    def run(*arguments: str | Path, cwd: Path = folder) -> str:
        return call(folder / "venv/bin/allocmark", *arguments, cwd=cwd, env=environ)

    return SimpleNamespace(run=run, folder=folder)


def test_there_is_a_wheel_of_each(clean):
    names = {file.name.split("-")[0] for file in (clean / "wheels").glob("*.whl")}
    assert len(names) == 1 + len(BACKENDS)


def test_list_run_conform_report_publish(installed):
    listed = json.loads(installed.run("list", "backends", "--json"))
    assert {"glibc", "turbomem", "dpdk_ring", "jemalloc", "null"} <= {each["name"] for each in listed}
    chosen = [word for name in ("glibc", "turbomem:base") for word in ("-b", name)]
    installed.run("run", "burst", *chosen, *CELL, "-o", "runs/first")
    assert "turbomem:base" in installed.run("show", "runs/first")
    installed.run("conform", "glibc")
    installed.run("report", "runs/first", "-o", "report.html")
    assert "<html" in (installed.folder / "report.html").read_text()
    installed.run("publish", "-o", "site")
    assert (installed.folder / "site" / "assets" / "site.js").is_file()


def test_the_history_of_a_c_repository(installed):
    made = CRepository(installed.folder / "repository")
    made.grow(1, 1)
    made.recipe(made.workload)
    output_of = installed.run("track", "bisect", "HEAD~1", "HEAD", "--limit", "50", cwd=made.folder)
    assert "search for the best fit" in output_of
    installed.run("track", "run", "HEAD~1..HEAD", "--", "--attribute", "rounds=2", cwd=made.folder)
    installed.run("publish", cwd=made.folder)
    assert (made.folder / ".asv" / "html" / "asv.html").is_file()


@pytest.mark.parametrize("name", [".", *(f"backends/{each}" for each in BACKENDS)])
def test_a_source_distribution_has_all_that_its_wheel_needs(clean, installed, name):
    """Each is built with the allocmark that is installed, as pip does it: apart from everything."""
    folder = clean / "sources" / Path(name).name
    folder.mkdir(parents=True)
    output(sys.executable, "-c", SDIST, folder, cwd=clean / "clone" / name)
    (archive,) = folder.iterdir()
    with tarfile.open(archive) as files:
        assert not [each for each in files.getnames() if each.endswith((".so", ".o"))]
    call(installed.folder / "venv/bin/pip", "wheel", "-q", "--no-deps", "-w", folder / "wheel", archive)
    assert len(list((folder / "wheel").glob("*.whl"))) == 1


def test_pip_brings_allocmark_where_it_is_not_installed(clean, installed):
    """A backend's source distribution alone, with a folder that has allocmark's wheel."""
    archive = next((clean / "sources" / "glibc").glob("*.tar.gz"))
    pip = [clean / "builder/bin/pip", "wheel", "-q", "--no-deps", "--find-links", clean / "wheels"]
    call(*pip, "-w", clean / "brought", archive)
    assert len(list((clean / "brought").glob("allocmark_glibc-*.whl"))) == 1
