# SPDX-License-Identifier: BSD-3-Clause
"""The commands as people type them, and what they are told when they mistype."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from support import assert_refused, setting, started

import allocmark
from allocmark.cli import _parser
from allocmark.measuring.request import Request
from fixtures.simulated import edit_run

SMALL = ["burst", "--short", *setting(bulk=8, **{"pools.mbuf.objects": 999})]
TINY = [*SMALL, *setting(keep=128)]
FIXED = ["gets", "pages_4k", "lines", "objects", "foreign_puts"]  # of reuse
BRIEF = ["--rounds", "2", "--blocks", "4", "--sample-ms", "1", "-b", "mutant"]


@pytest.mark.parametrize("arguments", [["--version"], ["-h"], ["run", "--help"], ["list", "--help"]])
def test_help_and_version(allocmark_command, arguments):
    result = allocmark_command(*arguments)
    assert result.returncode == 0
    assert "allocmark" in result.stdout


def test_the_help_of_run_needs_no_documentation(allocmark_command):
    text = allocmark_command("run", "--help").stdout
    for word in ("case", "cell", "round", "block", "floor"):
        assert re.search(rf"^  {word} +\w", text, re.MULTILINE), word
    for title in ("what to measure:", "how long:", "what to leave out:", "where results go:"):
        assert f"\n{title}\n" in text
    shown = " ".join(text.split())
    for value in (Request.rounds, Request.blocks, Request.sample_ms, Request.timeout, Request.seed):
        assert f"(default {value:g}" in shown
    assert max(map(len, text.split("what to measure:")[0].splitlines()[1:])) <= 80


@pytest.mark.parametrize("arguments", [[], ["run"]])
def test_the_examples_in_the_help_can_be_typed(allocmark_command, arguments):
    lines = allocmark_command(*arguments, "--help").stdout.splitlines()
    examples = [re.split(r"\s{2,}", line.strip())[0] for line in lines if line.startswith("  allocmark ")]
    assert len(examples) >= 3
    for example in examples:
        _parser().parse_args(shlex.split(example)[1:])


def test_version_is_the_distributions(allocmark_command):
    from importlib.metadata import version

    assert allocmark_command("--version").stdout == f"allocmark {version('allocmark')}\n"
    assert allocmark.__version__ == version("allocmark")


def test_starting_up_imports_nothing_heavy():
    code = "import sys; from allocmark import cli; cli.main(['doctor', '--nonsense']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pluggy", "pydantic", "yaml", "msgspec", "cffi", "rich", "tabulate", "json.tool"} & set(loaded)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], ["invalid choice: 'nonsense'"]),
        (["track", "bisect", "HEAD~1", "HEAD", "-w"], ["arguments: -w (see `allocmark track bisect --help`)"]),
        (["run", "burts"], ["burts", "burst"]),
        (["run", "no/such.yaml"], ["no/such.yaml"]),
        (["run", "burst", "-b", "turbomen"], ["no backend is called 'turbomen'", "turbomem"]),
        (["run", "burst", "-b", "mutant:twise"], ["no variant 'twise'", "did you mean 'twice'"]),
        (["run", "burst", "--set", "bulks=1"], ["bulks", "bulk"]),
        (["run", "burst", "--set", "bulk"], ["expected KEY=VALUE"]),
        (["run", "burst", "--set", "bulk=many"], ["bulk"]),
        (["run", "burst", "--set", "bulk=0"], ["bulk"]),
        (["run", "burst", "--set", "pools.mbuf.objects=0"], ["objects"]),
        (["run", "burst", "--set", "pools.mbuf.objects=99"], ["99 objects", "holds 100 here"]),
        (
            ["run", "burst", "--set", "pools.mbuf.objects=4000000000"],
            ["8,106.2 GiB", "available", "--set pools.mbuf.objects=N"],
        ),
        (["run", "burst", "--set", "cores=7"], ["64 of 64 cases need 7 cores", "--no-pin"]),
        (
            ["run", "burst", "--set", "cores=2", "--set", "keep=128", "--set", "pools.mbuf.objects=200"],
            ["200 objects", "256"],
        ),
        (["run", "burst", "--blocks", "0"], ["--blocks"]),
        (["run", "burst", "--rounds", "0"], ["--rounds"]),
        (["run", "burst", "--baseline", "nobody"], ["'nobody' is not one of what is measured", "null:default"]),
        (["run", *TINY, "-b", "mutant", "-o", "/proc/no"], ["/proc/no"]),
        (["run", *TINY, "-b", "mutant", "--json", "/no/such/folder/x.json"], ["--json /no/such/folder/x.json"]),
        (["run", *TINY, "-b", "mutant", "--json", "/tmp"], ["--json /tmp: is a folder"]),
        (["run", *TINY, "-b", "mutant", "-o", "q", "--json", "q/run.jsonl"], ["is the run file itself"]),
        (["run", *TINY, "--set", "bulk=8"], ["bulk is set already"]),
        (["run", *TINY, "--seed", "9" * 5000], ["at most 18 digits"]),
        (["run", *TINY, "--timeout", "999999999"], ["from 1 to 999999"]),
        (["run", *TINY, "--sample-ms", "5000", "--timeout", "1"], ["raise --timeout"]),
        (["run", *TINY, "-b", "null", "--verify"], ["the floor"]),
        (["run", "--resume", "nowhere", "--seed", "7"], ["leave seed out"]),
        (["run", "--resume", "nowhere"], ["nowhere"]),
        (["show", "nowhere"], ["nowhere"]),
        (["compare", "a", "b", "c"], ["one or two runs, and 3"]),
        (["workloads", "show", "burts"], ["burst"]),
        (["list", "things"], ["invalid choice"]),
    ],
)
def test_bad_input_is_one_line_and_nothing_runs(allocmark_command, mutants, tmp_path, arguments, words):
    assert_refused(allocmark_command(*arguments, plugins=[mutants]), *words)
    assert not list(tmp_path.iterdir())


def test_a_run_prints_a_table_and_says_where_its_file_is(allocmark_command, mutants, tmp_path):
    result = allocmark_command("run", *TINY, *BRIEF, "--json", "out.json", plugins=[mutants])
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(r"allocmark: 1 case, 2 cells: about \d+ s\n", result.stderr)  # progress is silent in a pipe
    assert "mutant" in result.stdout
    assert "the floor" in result.stdout
    where = Path(result.stdout.strip().splitlines()[-1].removeprefix("run file: "))
    shown = allocmark_command("show", tmp_path / where)
    assert shown.returncode == 0
    assert shown.stdout.strip() in result.stdout
    document = json.loads((tmp_path / "out.json").read_text())
    assert document == json.loads(allocmark_command("show", "--json", tmp_path / where).stdout)
    assert document["format"] == 3
    assert document["environment"]["machine"]["cpus"] == os.cpu_count()
    floor, cell = document["cells"]
    assert (floor["backend"], cell["backend"], cell["variant"]) == ("null", "mutant", "none")
    assert cell["status"] == "ok"
    assert cell["unit"] == "ns/object"
    assert cell["net_median"] == pytest.approx(cell["median"], rel=10)
    assert {"workload", "parameters", "reason", "ci95", "ratio", "verdict"} <= cell.keys()
    assert len(cell["samples"]) == 8
    assert (cell["ci95"], len(cell["layouts"])) == (None, 2)
    assert 1 <= len(cell["processes"]) <= 2  # one of two rounds may have been on a slower CPU
    assert len(cell["attestation"]["cpus"]) in (1, 2)  # another one in the second round, where the first became slow
    assert cell["attestation"]["populated"]["pages"]["pools"]["mbuf"]["resident"] > 0
    assert cell["attestation"]["after"]["numa"]["pools"]["mbuf"]
    assert cell["probes"]["after"]["memory"]["pools"]["mbuf"]


def test_a_run_times_calls_and_counts_what_is_reused(allocmark_command, mutants, tmp_path):
    result = allocmark_command("run", *TINY, *BRIEF, "-o", "one", plugins=[mutants])
    assert "burst: single calls, ns" in result.stdout
    assert "burst: memory reused" in result.stdout
    floor, cell = json.loads(allocmark_command("show", "one", "--json").stdout)["cells"]
    for each in (floor, cell):
        latency = each["latency"]
        assert latency["get"]["percentiles"]["50"] > 0
        assert latency["clock_ns"] >= 0
        assert len(latency["ns_per_object"]) in (1, 2)  # one block in each round that had the CPU for itself
        assert latency["get"]["calls"] == sum(count for _, count in latency["get"]["buckets"])
    assert floor["reuse"] is None  # the floor hands out the same objects whatever comes back
    reuse = cell["reuse"]
    assert 0 < reuse["pages_2m"] <= reuse["pages_4k"] <= reuse["objects"]
    assert reuse["foreign_puts"] == 0
    again = allocmark_command("run", *TINY, *BRIEF, "-o", "two", "--no-latency", plugins=[mutants])
    assert "single calls" not in again.stdout
    _, second = json.loads(allocmark_command("show", "two", "--json").stdout)["cells"]
    assert second["latency"] is None
    # The same every time, but for where pages of 2 MB cut the memory of a pool that is not aligned to them.
    assert [second["reuse"][each] for each in FIXED] == [reuse[each] for each in FIXED]
    neither = allocmark_command("run", *TINY, *BRIEF, "--no-latency", "--no-reuse", plugins=[mutants])
    assert "memory reused" not in neither.stdout


def test_a_floor_that_nothing_could_be_compared_with_says_so(allocmark_command, mutants):
    result = allocmark_command("run", *TINY, *BRIEF, *setting(**{"pools.mbuf.node": 1023}), plugins=[mutants])
    assert result.returncode == 1, result.stderr  # it was asked for by name
    (floor,) = [line for line in result.stdout.splitlines() if line.startswith("null  ")]
    assert floor.split(maxsplit=1)[1] == "not measured: no other backend could run here"
    assert "pool 'mbuf': this machine has no NUMA node 1023" in result.stdout


def test_the_fastest_of_a_family_is_the_baseline(allocmark_command, mutants):
    arguments = [*TINY, *BRIEF, "-b", "mutant:outside", "--baseline", "mutant:*", "-o", "here"]
    result = allocmark_command("run", *arguments, plugins=[mutants])
    assert result.returncode == 0, result.stderr
    none, outside = json.loads(allocmark_command("show", "here", "--json").stdout)["cells"][1:]
    best = min((none, outside), key=lambda cell: cell["median"])
    assert none["baseline"] == outside["baseline"] == f"mutant:{best['variant']}"
    compared = allocmark_command("compare", "here", "--baseline", "mutant:o*")
    assert "faster than mutant:outside" in compared.stdout


def test_one_workload_that_is_too_much_for_the_machine_costs_the_others_nothing(allocmark_command, mutants, tmp_path):
    crowd = tmp_path / "crowd.yaml"
    crowd.write_text(
        "format: 1\nname: crowd\nsummary: s\nsource: s\npools: {p: {object_size: 64, objects: 4000}}\n"
        "actors: {w: {count: 200, steps: [{get: {from: p}}, {put: all}]}}\n"
    )
    assert_refused(allocmark_command("run", crowd), "crowd: 1 of 1 cases need 200 cores", "--no-pin")
    two = tmp_path / "two.yaml"
    two.write_text(crowd.read_text().replace("crowd", "two").replace("count: 200", "count: 3") + "cpus: 1\n")
    result = allocmark_command("run", crowd, two, "-b", "mutant", *BRIEF, "-o", "here", plugins=[mutants])
    assert result.returncode == 0, result.stderr
    assert "left out: crowd: 1 of 1 cases need 200 cores" in result.stderr
    floor, cell = json.loads(allocmark_command("show", "here", "--json").stdout)["cells"]
    assert floor["workload"] == "two"
    assert len(cell["attestation"]["cpus"]) == 1  # three actors, all on one


def test_a_torn_run_file_shows_what_is_whole_and_resumes(allocmark_command, mutants, tmp_path):
    arguments = ["run", *SMALL, "--set", "keep=64,128,256", *BRIEF, "-o", "here"]
    assert allocmark_command(*arguments, plugins=[mutants]).returncode == 0
    file = tmp_path / "here" / "run.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:4]) + lines[4][:100])  # header, one round of one case, half a cell
    shown = allocmark_command("show", "here")
    assert shown.returncode == 2
    assert "mutant" in shown.stdout
    assert "run.jsonl:5: cut off here; 1 of 3 cases are whole, and what can be read is used" in shown.stderr
    resumed = allocmark_command("run", "--resume", "here", plugins=[mutants])
    assert resumed.returncode == 0, resumed.stderr
    document = json.loads(allocmark_command("show", "here", "--json").stdout)
    assert [cell["status"] for cell in document["cells"]] == ["ok"] * 6
    assert b"".join(lines[:4]) in file.read_bytes()  # what was measured is kept


def test_a_run_file_of_a_newer_format_or_damaged(allocmark_command, mutants, tmp_path):
    assert allocmark_command("run", *TINY, *BRIEF, "-o", "here", plugins=[mutants]).returncode == 0
    file = tmp_path / "here" / "run.jsonl"
    good = file.read_text()
    file.write_text(good.replace('"format":3', '"format":4', 1))
    for command in (["show", "here"], ["compare", "here"], ["run", "--resume", "here"]):
        assert_refused(allocmark_command(*command), "run.jsonl:1", "newer")
    lines = good.splitlines(keepends=True)
    file.write_text(lines[0] + lines[1][:50] + "\n" + "".join(lines[2:]))
    shown = allocmark_command("show", "here")
    assert (shown.returncode, len(shown.stderr.splitlines())) == (2, 1)
    assert "run.jsonl:2: not JSON" in shown.stderr
    assert "mutant" in shown.stdout
    again = allocmark_command("run", "--resume", "here", plugins=[mutants])
    assert (again.returncode, len(again.stderr.splitlines())) == (0, 2)
    assert "removed from the file; what is missing is measured again" in again.stderr
    assert json.loads(allocmark_command("show", "here", "--json").stdout)["complete"]
    assert_refused(allocmark_command("run", *TINY, *BRIEF, "-o", "here", plugins=[mutants]), "exists already")


def test_a_run_of_another_machine_is_not_resumed(allocmark_command, mutants, tmp_path):
    assert allocmark_command("run", *TINY, *BRIEF, "-o", "here", plugins=[mutants]).returncode == 0
    file = tmp_path / "here" / "run.jsonl"
    before = file.read_text()
    assert allocmark_command("run", "--resume", "here", plugins=[mutants]).returncode == 0  # nothing is left to do
    assert file.read_text().splitlines()[:-1] == before.splitlines()[:-1]
    edit_run(file, lambda lines: lines[0]["environment"]["machine"].update(architecture="another"))
    assert_refused(allocmark_command("run", "--resume", "here", plugins=[mutants]), "another machine")
    file.write_text(before)
    edit_run(file, lambda lines: lines[0]["settings"].update(blocks="x"))
    assert_refused(
        allocmark_command("run", "--resume", "here", plugins=[mutants]), "blocks: expected a whole number, got a text"
    )


def test_a_file_in_the_current_folder_stands_in_for_nothing(allocmark_command, mutants, tmp_path):
    (tmp_path / "base64.py").write_text("raise SystemExit(3)\n")
    command = [str(Path(sys.executable).with_name("allocmark")), "run", *TINY, *BRIEF, "-o", "here"]
    environment = {**os.environ, "PYTHONPATH": str(mutants)}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("redirection", "status"), [(">/dev/full", 2), (">&-", 0), ("2>&-", 0)], ids=["full", "closed", "no stderr"]
)
def test_odd_streams_are_no_traceback(redirection, status):
    shell = f"{sys.executable} -m allocmark list probes {redirection}"
    result = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert result.returncode == status, result.stderr
    assert "Traceback" not in result.stderr


def test_progress_is_shown_on_a_terminal(mutants, tmp_path):
    ours, theirs = pty.openpty()
    arguments = ["run", *TINY, "--rounds", "2", "--blocks", "50", "--sample-ms", "5", "-b", "mutant"]
    process = started(tmp_path, mutants, *arguments, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while data := os.read(ours, 4096):
            seen += data
    os.close(ours)
    assert process.wait() == 0
    assert b"burst bulk=8 keep=128" in seen
    assert b"round 2" in seen
    assert b"at most" in seen


def test_workload_files_are_checked(allocmark_command, tmp_path):
    good = Path(allocmark.__file__).parent / "bundled" / "burst.yaml"
    bad = tmp_path / "bad.yaml"
    bad.write_text(good.read_text().replace("bulk: [1", "bulk: [70000"))
    result = allocmark_command("workloads", "check", good, bad)
    assert result.returncode == 2
    assert "good, 128 cases" in result.stdout
    assert f"{bad}:" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_schema_is_for_editors(allocmark_command):
    schema = json.loads(allocmark_command("workloads", "schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    described = schema["properties"]["cpus"]["description"]
    assert described == "CPUs that the actors share; one CPU per actor when left out."


def test_lists(allocmark_command):
    for what, names in {
        "backends": {"null"},
        "workloads": {"burst", "mixed_sizes", "cross_core_free"},
        "probes": {"pages", "memory", "numa"},
    }.items():
        listed = json.loads(allocmark_command("list", what, "--json").stdout)
        assert names <= {row["name"] for row in listed}
        table = allocmark_command("list", what).stdout
        assert all(name in table for name in names)


def test_doctor(allocmark_command):
    result = allocmark_command("doctor")
    assert result.returncode == 0
    assert "transparent huge pages" in result.stdout.lower() or "THP" in result.stdout
    checks = json.loads(allocmark_command("doctor", "--json").stdout)
    assert all(check["meaning"] for check in checks)


def test_a_history_is_not_measured_with_another_malloc(allocmark_command, monkeypatch):
    monkeypatch.setenv("MALLOC_PERTURB_", "7")
    assert_refused(allocmark_command("track", "run", "HEAD^!"), "MALLOC_PERTURB_ is set, which changes malloc")


def test_a_closed_pipe_is_no_error(mutants, tmp_path):
    shell = f"{sys.executable} -m allocmark list backends | true; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Error" not in result.stderr
