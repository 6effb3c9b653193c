# SPDX-License-Identifier: BSD-3-Clause
"""Plugins as they are installed: one that is wrong is rolled back, shown with its cause, and hurts nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import assert_refused, hook, make_plugin


def rows(result) -> dict[str, dict]:
    return {row["name"]: row for row in json.loads(result.stdout)}


def test_a_wrong_plugin_is_shown_with_its_cause_and_cannot_be_run(allocmark_command, mutants, tmp_path):
    """Every way to be wrong is in test_discovery.py."""
    folder = make_plugin(tmp_path, "wrong", "import there_is_no_such_module")
    listed = rows(allocmark_command("list", "backends", "--json", plugins=[folder, mutants]))
    cause = "failed to import: ModuleNotFoundError: No module named"
    assert cause in listed["wrong"]["reason"]
    assert listed["wrong"]["distribution"] == "allocmark-test-wrong 1.0"
    assert [listed[name]["available"] for name in ("wrong", "null", "mutant")] == [False, True, True]
    assert_refused(allocmark_command("run", "burst", "-b", "wrong", plugins=[folder, mutants]), cause)


def test_a_library_for_which_there_is_no_room_says_what_makes_room(allocmark_command, tmp_path):
    code = "raise ImportError('libmine.so: cannot allocate memory in static TLS block')"
    listed = rows(allocmark_command("list", "backends", "--json", plugins=[make_plugin(tmp_path, "mine", code)]))
    assert listed["mine"]["reason"].endswith(
        "static TLS block: make more room with GLIBC_TUNABLES=glibc.rtld.optional_static_tls=1000000"
    )


def test_two_plugins_of_one_name(allocmark_command, tmp_path):
    good = hook("return [backend()]")
    first = make_plugin(tmp_path / "a", "odd", good)
    second = make_plugin(tmp_path / "b", "odder", good, value="allocmark_test_odder")
    info = second / "allocmark_test_odder-1.0.dist-info" / "entry_points.txt"
    info.write_text(info.read_text().replace("odder =", "odd ="))
    listed = json.loads(allocmark_command("list", "backends", "--json", plugins=[first, second]).stdout)
    odd = [row for row in listed if row["name"] == "odd"]
    assert [row["available"] for row in odd] == [True, False]
    assert odd[1]["reason"] == "registers the plugin name 'odd' a second time"


@pytest.mark.parametrize(
    "value", ["allocmark_test_odd", "allocmark_test_odd:here.plugin", "allocmark_test_odd : here [x]"]
)
def test_every_form_of_an_entry_point_is_understood(value, allocmark_command, tmp_path):
    names = "import sys\nhere = plugin = sys.modules[__name__]"
    folder = make_plugin(tmp_path, "odd", f"{hook('return [backend()]')}\n{names}")
    entry_points = folder / "allocmark_test_odd-1.0.dist-info" / "entry_points.txt"
    entry_points.write_text(f"[allocmark]\nodd = {value}\n")
    listed = rows(allocmark_command("list", "backends", "--json", plugins=[folder]))
    assert "failed to import" not in listed["odd"]["reason"]
    assert listed["odd"]["available"]


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
        *["-b", "mutant", "--rounds", "1", "--blocks", "2", "--sample-ms", "1", "--json", "-"],
        plugins=folders,
    )
    assert result.returncode == 0, result.stderr
    (cell,) = [cell for cell in json.loads(result.stdout)["cells"] if cell["backend"] == "mutant"]
    assert cell["probes"]["after"]["pools"] == {"n": 1}
    assert cell["probes"]["after"]["sick"] == {"unknown": "the probe failed: ZeroDivisionError: division by zero"}
    assert "the probe failed: ValueError" in cell["probes"]["after"]["odd"]["unknown"]
    assert "the probe failed: TypeError" in cell["probes"]["after"]["none"]["unknown"]


@pytest.mark.parametrize("text", [b"[allocmark]\nodd", b"[allocmark]\nodd = \xff\n", b"odd = x\n[allocmark]\n"])
def test_metadata_that_cannot_be_read_costs_no_other_plugin(allocmark_command, tmp_path, text):
    folder = make_plugin(tmp_path, "good", hook("return [backend('good')]"))
    make_plugin(tmp_path, "odd", hook("return [backend()]"))
    (folder / "allocmark_test_odd-1.0.dist-info" / "entry_points.txt").write_bytes(text)
    done = allocmark_command("list", "backends", "--json", plugins=[folder])
    listed = rows(done)
    assert (listed["good"]["available"], "Traceback" in done.stderr) == (True, False)
    broken = [row for row in listed.values() if row["distribution"] == "allocmark-test-odd 1.0"]
    assert all("has metadata that cannot be read: entry_points.txt" in row["reason"] for row in broken)
    assert bool(broken) == (not text.endswith(b"[allocmark]\n"))


def test_an_older_copy_elsewhere_on_the_path_does_not_count(allocmark_command, tmp_path):
    code = hook("return [backend(version={!r})]")
    new = make_plugin(tmp_path / "new", "odd", code.replace("{!r}", "'2'"))
    old = make_plugin(tmp_path / "old", "odd", "raise RuntimeError('old')", value="old_module")
    listed = json.loads(allocmark_command("list", "backends", "--json", plugins=[new, old]).stdout)
    assert [row["version"] for row in listed if row["name"] == "odd"] == ["2"]
