# SPDX-License-Identifier: BSD-3-Clause
"""allocmark as it is shipped: a wheel in a virtual environment of its own, far from the checkout."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
import venv
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from support import output

from allocmark.new_backend import rendered
from asv_environment.harness import build_harness
from fixtures import synthetic

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]  # the engine is compiled

ROOT = Path(__file__).parents[2]
# Not imported: the command itself, and the scripts with which setup.py builds what is native.
SCRIPTS = {"allocmark.__main__", "allocmark.engine.build", "allocmark.traces.traces_build"}
RECORDER = "allocmark.traces._recorder"  # is preloaded into programs, and no module
IMPORT_ALL = f"""
import importlib, json, os, pathlib, pkgutil, allocmark
from allocmark.asv import recipe_status
status = pathlib.Path("status.json").absolute()  # without one, what asv imports of a recipe has nothing to say
recipe_status.Status("", "", ["null:default"], {{}}, []).write(status)
os.environ[recipe_status.VARIABLE] = str(status)
names = [each.name for each in pkgutil.walk_packages(allocmark.__path__, "allocmark.", onerror=lambda name: 1 / 0)]
modules = [importlib.import_module(name) for name in names if name not in {SCRIPTS | {RECORDER}}]
print(json.dumps({{each.__name__: each.__file__ for each in modules}}))
"""

Run = Callable[..., str]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a command of the environment; its standard output. ``installed.folder`` is where it runs."""
    folder = tmp_path_factory.mktemp("installed")
    wheel = build_harness(ROOT, folder / "wheels", Path(sys.executable))
    venv.create(folder / "venv", symlinks=True)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    # The dependencies, and nothing of this checkout.
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "allocmark" not in entry.name and entry.name != "__pycache__":
            (site / entry.name).symlink_to(entry)
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def run(command: str | Path, *arguments: str | Path) -> str:
        return output(folder / "venv" / "bin" / command, *arguments, cwd=folder, env=environ)

    pip = [sys.executable, "-m", "pip", "--python", str(folder / "venv" / "bin" / "python")]
    options = ["-q", "--disable-pip-version-check", "--no-deps", "--no-index"]
    output(*pip, "install", *options, wheel, env=environ)
    run.folder, run.site = folder, site
    return run


def test_every_module_is_there_and_can_be_imported(installed: Run) -> None:
    found = json.loads(installed("python", "-c", IMPORT_ALL))
    assert all(Path(file).is_relative_to(installed.site) for file in found.values())
    sources = {file.relative_to(ROOT / "suite") for file in (ROOT / "suite" / "allocmark").rglob("*.py")}
    names = {".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in sources}
    assert names - set(found) == {"allocmark", *SCRIPTS}


def test_a_backend_can_be_begun(installed: Run) -> None:
    installed("allocmark", "new-backend", "mine", "--kind", "cxx")
    folder = installed.folder / "allocmark-mine"
    assert [name for name in rendered("mine", "cxx") if not (folder / name).is_file()] == []


def test_a_run_from_the_first_command_to_the_report(installed: Run) -> None:
    assert installed("allocmark", "--version").startswith("allocmark ")
    assert {each["name"] for each in json.loads(installed("allocmark", "list", "backends", "--json"))} == {"null"}
    listed = {each["name"]: each["set"] for each in json.loads(installed("allocmark", "list", "workloads", "--json"))}
    assert {"burst": "default", "larson": "malloc", "imix": "pools", "slora": "serving"}.items() <= listed.items()
    workload = installed.site / "allocmark" / "bundled" / "burst.yaml"
    installed("allocmark", "workloads", "check", workload)
    cell = ["--set", "bulk=8", "--set", "keep=128", "--set", "pools.mbuf.objects=2000", "--short"]
    installed(
        "allocmark",
        "run",
        "burst",
        "-b",
        "null",
        *cell,
        "--rounds",
        "2",
        "--blocks",
        "2",
        "--sample-ms",
        "2",
        "-o",
        "runs/first",
    )
    assert "null" in installed("allocmark", "show", "runs/first")
    installed("allocmark", "report", "runs/first", "-o", "report.html")
    assert "<html" in (installed.folder / "report.html").read_text()
    installed("allocmark", "publish", "-o", "site")
    assert (installed.folder / "site" / "workload" / "burst.html").is_file()


@pytest.mark.skipif(find_spec("asv") is None, reason="asv is not installed")
def test_the_history_of_another_repository_is_published(installed: Run) -> None:
    project = installed.folder / "project"
    commits = synthetic.project(project, 3)
    installed("allocmark", "publish", "--config", project / "asv.conf.json")
    assert (project / ".asv" / "html" / "asv.html").is_file()
    assert "time_object" in installed("allocmark", "track", "compare", "-C", project, commits[0], commits[2])
