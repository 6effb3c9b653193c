# SPDX-License-Identifier: BSD-3-Clause
"""The workloads that people know: each is valid, names its source, and runs on a malloc and on a pool."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from allocmark import installed
from allocmark.engine.session import Engine
from allocmark.measuring.plan import make_plan
from allocmark.measuring.request import Request
from allocmark.workload.language.expand import Template
from allocmark.workload.language.find import BUNDLED, SETS, all_workloads, set_of
from allocmark.workload.tape.compile import compile_workload
from fixtures.backend_cells import measured

FILES = sorted(path for name in SETS for path in (BUNDLED / name).glob("*.yaml"))
SOURCE = re.compile(r"\(.*\b(19|20)\d\d\)|mimalloc-bench|glibc's benchtests|app/test/|FD.io CSIT")
BACKENDS = {r.backend.label: r.backend for r in installed.load().backends}
PAGE = Path(__file__).parents[2] / "docs" / "which-workloads-are-there.md"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_names_its_source_and_runs_on_a_malloc_and_on_a_pool(path: Path) -> None:
    template = Template.load(path, name=path.stem)
    assert SOURCE.search(template.source)
    assert "Different here: " in template.source
    for case in template.cases(short=True):
        program = compile_workload(case.workload, 1, str(path))
        for label in ("glibc:default", "turbomem:base"):
            backend = BACKENDS[label]
            anywhere = [(-1, -1)] * len(program.actors)
            engine = Engine(backend.table, backend.options, program, anywhere, verify=True, limit_seconds=0.2)
            assert engine.settle() is None
            assert engine.sample(1).objects > 0
            engine.drain()
            assert engine.check_complete(backend.capabilities.any_size) is not None
            engine.close()


def test_a_malloc_is_said_to_free_what_a_region_drops() -> None:
    assert measured("glibc:default", "request_arena", {"blocks": 16}).attestation["process"]["put_all"] == "put_bulk"
    assert "put_all" not in measured("glibc:default").attestation["process"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_fits_a_small_machine(path: Path) -> None:
    for case in Template.load(path).cases():
        pools = case.workload.pools.values()
        assert sum(pool.object_size * pool.objects for pool in pools) <= 160 << 20


# A small process starts the command: ru_maxrss keeps what a process had before exec, and pytest has much.
USED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


@pytest.mark.long
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_is_checked_in_2_s_and_200_mb(path: Path) -> None:
    command = [sys.executable, "-m", "allocmark", "workloads", "check", str(path)]
    done = subprocess.run([sys.executable, "-c", USED, *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seconds, kib = done.stdout.split()
    assert float(seconds) < 2
    assert int(kib) < 200 << 10


OF = {name: {path.stem for path in FILES if path.parent.name == name} for name in SETS}
DEFAULT = {"burst", "mixed_sizes", "cross_core_free"}


def test_for_chooses_a_set_and_the_backends() -> None:
    host = installed.load()

    def planned(*workloads: str, **asked: Any) -> tuple[set[str], set[str]]:
        cases = make_plan(Request(workloads, short=True, pin=False, **asked), host).cases
        return {case.record.workload for case in cases}, {cell.backend.label for case in cases for cell in case.cells}

    assert planned()[0] == DEFAULT
    assert planned(group="all")[0] == DEFAULT
    for name in SETS:
        workloads, backends = planned(group=name)
        assert workloads == OF[name]
        assert ("glibc:default" in backends) == (name != "pools")
        assert ("turbomem:thp" in backends) == (name != "malloc")
    assert planned("larson", group="malloc")[0] == {"larson"}
    workloads, backends = planned("serving", "slora", "burst", backends=["glibc"])
    assert workloads == OF["serving"] | {"burst"}
    assert backends == {"null:default", "glibc:default"}


def test_a_set_from_the_command_line(allocmark_command) -> None:
    result = allocmark_command("run", "--for", "serving", "--dry-run")
    assert result.returncode == 0, result.stderr
    titles = {line.split(" ")[0].rstrip(":") for line in result.stdout.splitlines()}
    assert titles >= OF["serving"]
    assert not titles & DEFAULT


def test_list_says_the_set(allocmark_command) -> None:
    rows = json.loads(allocmark_command("list", "workloads", "--json").stdout)
    belongs = {row["name"]: row["set"] for row in rows}
    assert belongs["burst"] == "default"
    assert belongs["same_core"] == ""
    assert {path.stem: belongs[path.stem] for path in FILES} == {path.stem: path.parent.name for path in FILES}


def test_the_page_lists_every_workload() -> None:
    """A heading for each set, and below it a row for each file, as the file says it."""
    expected: dict[str, list[str]] = {}
    for found in all_workloads():
        assert isinstance(found, Template)
        heading = set_of(found.path) or ("The default comparison" if found.default else "Others")
        expected.setdefault(heading, []).append(f"| `{found.name}` | {found.summary} |")
    listed = {
        section.split("\n")[0].split(":")[0]: re.findall(r"^\| `.*$", section, re.MULTILINE)
        for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
    }
    assert listed == expected
