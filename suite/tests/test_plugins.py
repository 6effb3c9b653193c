# SPDX-License-Identifier: BSD-3-Clause
"""Plugins as they are installed: one that is wrong is rolled back, shown with its cause, and hurts nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import assert_refused, make_plugin

HEAD = """
import allocmark
from allocmark.engine import null_table

def backend(name="odd", variant="default", **rest):
    rest.setdefault("table", null_table())
    return allocmark.Backend(name=name, variant=variant, description="", version="1", **rest)
"""

BROKEN = {
    "import_error": ("import there_is_no_such_module", "failed to import: ModuleNotFoundError: No module named"),
    "import_exit": ("import sys; sys.exit('leaving')", "failed to import: SystemExit: leaving"),
    "syntax": ("def (:", "failed to import: SyntaxError"),
    "unknown_hook": (
        HEAD + "@allocmark.hookimpl\ndef allocmark_backend():\n    return []",
        "implements an unknown hook (PluginValidationError: unknown hook 'allocmark_backend'",
    ),
    "arguments": (
        HEAD + "@allocmark.hookimpl\ndef allocmark_backends(machine):\n    return []",
        "does not fit a hook: PluginValidationError",
    ),
    "raises": (
        HEAD + "@allocmark.hookimpl\ndef allocmark_backends():\n    raise OSError('no device')",
        "its hook allocmark_backends failed: OSError: no device",
    ),
    "returns": (
        HEAD + "@allocmark.hookimpl\ndef allocmark_backends():\n    return ['odd']",
        "its hook allocmark_backends returned a str, not a Backend",
    ),
    "twice": (
        HEAD + "@allocmark.hookimpl\ndef allocmark_backends():\n    return [backend(), backend()]",
        "registers odd:default twice",
    ),
    "taken": (
        HEAD + "@allocmark.hookimpl\ndef allocmark_backends():\n    return [backend('null')]",
        "registers the backend name 'null', which plugin 'allocmark' has",
    ),
    "bad_name": (
        HEAD + "@allocmark.hookimpl\ndef allocmark_backends():\n    return [backend('Odd One')]",
        "name 'Odd One' is not lower-case words",
    ),
    "bad_version": (
        HEAD + "import dataclasses\n@allocmark.hookimpl\ndef allocmark_backends():\n"
        "    return [dataclasses.replace(backend(), version=None)]",
        "version is NoneType, not str",
    ),
    "bad_environ": (
        HEAD + "@allocmark.hookimpl\ndef allocmark_backends():\n    return [backend(environ={'A=B': 'x'})]",
        "environ has an empty name, or a name or value that a process cannot be given",
    ),
    "bad_actors": (
        HEAD + "@allocmark.hookimpl\ndef allocmark_backends():\n"
        "    return [backend(capabilities=allocmark.Capabilities(max_actors='x'))]",
        "max_actors 'x' is not a number from 1 on, nor None",
    ),
    "no_table": (
        HEAD + "@allocmark.hookimpl\ndef allocmark_backends():\n    return [backend(table=None)]",
        "exactly one of table and unavailable must be given",
    ),
    "wild_table": (
        HEAD + "@allocmark.hookimpl\ndef allocmark_backends():\n    return [backend(table=4096)]",
        "table 0x1000 is not an address that can be read",
    ),
    "other_abi": (
        HEAD + "from mutants_native import ffi, lib\n@allocmark.hookimpl\ndef allocmark_backends():\n"
        "    return [backend(table=int(ffi.cast('uintptr_t', lib.mutant_table(b'other_abi'))))]",
        "built against ABI 2 of allocmark/backend.h, and this is ABI 1: rebuild the plugin",
    ),
    "lacking": (
        HEAD + "from mutants_native import ffi, lib\n@allocmark.hookimpl\ndef allocmark_backends():\n"
        "    return [backend(table=int(ffi.cast('uintptr_t', lib.mutant_table(b'lacking'))))]",
        "its table lacks the required operation put_bulk",
    ),
    "truncated": (
        HEAD + "from mutants_native import ffi, lib\n@allocmark.hookimpl\ndef allocmark_backends():\n"
        "    return [backend(table=int(ffi.cast('uintptr_t', lib.mutant_table(b'truncated'))))]",
        "its table says a size of",
    ),
    "probe": (
        HEAD + "@allocmark.hookimpl\ndef allocmark_probes():\n"
        "    return [allocmark.Probe('pages', '', '', lambda context: {})]",
        "registers the probe name 'pages' a second time",
    ),
}


def rows(result) -> dict[str, dict]:
    return {row["name"]: row for row in json.loads(result.stdout)}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_wrong_plugin_is_shown_with_its_cause(allocmark_command, mutants, tmp_path, kind):
    code, cause = BROKEN[kind]
    folder = make_plugin(tmp_path, kind, code)
    result = allocmark_command("list", "backends", "--json", plugins=[folder, mutants])
    assert result.returncode == 0, result.stderr
    listed = rows(result)
    assert cause in listed[kind]["reason"]
    assert listed[kind]["distribution"] == f"allocmark-test-{kind} 1.0"
    assert not listed[kind]["available"]
    assert listed["null"]["available"]
    assert listed["mutant"]["available"]
    assert "odd" not in listed


@pytest.mark.parametrize("kind", ["import_error", "other_abi"])
def test_running_on_a_wrong_plugin_says_why(allocmark_command, mutants, tmp_path, kind):
    code, cause = BROKEN[kind]
    folder = make_plugin(tmp_path, kind, code)
    assert_refused(allocmark_command("run", "burst", "-b", kind, plugins=[folder, mutants]), cause)


def test_two_plugins_of_one_name(allocmark_command, tmp_path):
    good = HEAD + "@allocmark.hookimpl\ndef allocmark_backends():\n    return [backend()]"
    first = make_plugin(tmp_path / "a", "odd", good)
    second = make_plugin(tmp_path / "b", "odder", good, value="allocmark_test_odder")
    info = second / "allocmark_test_odder-1.0.dist-info" / "entry_points.txt"
    info.write_text(info.read_text().replace("odder =", "odd ="))
    listed = json.loads(allocmark_command("list", "backends", "--json", plugins=[first, second]).stdout)
    odd = [row for row in listed if row["name"] == "odd"]
    assert [row["available"] for row in odd] == [True, False]
    assert odd[1]["reason"] == "registers the plugin name 'odd' a second time"


def test_a_plugin_brings_workloads_and_probes(allocmark_command, mutants, tmp_path):
    bundled = Path(__file__).parents[2] / "workloads" / "burst.yaml"
    (tmp_path / "mine.yaml").write_text(bundled.read_text().replace("name: burst", "name: mine"))
    make_plugin(
        tmp_path,
        "extra",
        f"""
import pathlib
import allocmark

@allocmark.hookimpl
def allocmark_workload_dirs():
    return [pathlib.Path({str(tmp_path)!r})]

@allocmark.hookimpl
def allocmark_probes():
    return [
        allocmark.Probe("pools", "how many pools", "pools", lambda context: {{"n": len(context.pools)}}),
        allocmark.Probe("sick", "always fails", "", lambda context: 1 / 0),
        allocmark.Probe("odd", "not to be kept", "", lambda context: {{"n": float("nan")}}),
        allocmark.Probe("none", "nothing at all", "", lambda context: None),
    ]
""",
    )
    folders = [tmp_path, mutants]
    assert "mine" in rows(allocmark_command("list", "workloads", "--json", plugins=folders))
    assert {"pages", "pools"} <= set(rows(allocmark_command("list", "probes", "--json", plugins=folders)))
    result = allocmark_command(
        *["run", "mine", "--set", "bulk=8", "--set", "keep=128", "--set", "pools.mbuf.objects=999", "--short"],
        *["-b", "mutant", "--blocks", "2", "--sample-ms", "1", "--json", "-"],
        plugins=folders,
    )
    assert result.returncode == 0, result.stderr
    (cell,) = [cell for cell in json.loads(result.stdout)["cells"] if cell["backend"] == "mutant"]
    assert cell["probes"]["after"]["pools"] == {"n": 1}
    assert cell["probes"]["after"]["sick"] == {"unknown": "the probe failed: ZeroDivisionError: division by zero"}
    assert "the probe failed: ValueError" in cell["probes"]["after"]["odd"]["unknown"]
    assert "the probe failed: TypeError" in cell["probes"]["after"]["none"]["unknown"]
