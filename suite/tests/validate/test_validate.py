# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark validate`` as a person runs it, with as little as it can measure, and what it leaves for reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support import assert_refused

from allocmark.discovery import discover
from allocmark.output.html.pages import method_page
from allocmark.output.html.run_view import View
from allocmark.results.kept_validation import newest_validation, validation_file
from allocmark.validate import validation
from allocmark.validate.forms import QUICK
from allocmark.validate.proof import Figure, Holds, Proof
from allocmark.validate.validation_table import render_validation

#: The command with another form under the name of the quick one.
TINY = """
import dataclasses, sys
from allocmark.cli import main
from allocmark.validate import forms
forms.QUICK = dataclasses.replace(
    forms.QUICK, name="tiny", rounds=1, blocks=1, sample_ms=1, repeated_cases=1, repeats=2, silent_cells=1, siblings=1,
    rebuilt=True, planted=(0.5,), tries=1, processes=1, meetings=1,
)
sys.exit(main(sys.argv[1:]))
"""


def validate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", TINY, "validate", "--quick", *arguments],
        cwd=folder,
        env={**os.environ, "XDG_STATE_HOME": str(folder / "state")},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def taken_by_others(said: str) -> bool:
    """Whether somebody else used the core in the only blocks that there were."""
    return "something else takes this machine's time" in said or "set aside" in said


def test_the_smallest_form(tmp_path, simulate, monkeypatch):
    for _ in range(3):
        done = validate(tmp_path, "--json", "found.json")
        said = " ".join(done.stdout.split())
        if not taken_by_others(said):
            break
    else:
        if done.returncode == 2:
            pytest.skip("others use this machine's cores: no block could be kept")
    assert done.returncode in (0, 1), done.stderr  # what so little says of this machine is chance
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["proof", "what", "figure", "limit", "holds"]
    assert max(map(len, lines)) <= 80
    found = json.loads((tmp_path / "found.json").read_text())
    names = [proof["name"] for proof in found["proofs"]]
    assert names == ["repeatability", "silence", "power", "fidelity", "floor", "carry-over"]
    assert [line.split()[0] for line in lines[2:] if line[:1].strip()][:6] == names
    assert found["form"] == "tiny"
    for proof in found["proofs"]:
        assert proof["figures"]
        assert proof["holds"] in ("yes", "no", "cannot tell")
        assert proof["seconds"] > 0
        assert not [note for note in proof["notes"] if "could not" in note], proof["notes"]
    assert any("no" in proof["holds"].split() for proof in found["proofs"]) == (done.returncode == 1)

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    machine = found["environment"]["machine"]
    assert newest_validation(machine).created == found["created"]
    here, elsewhere = (View.of(simulate(machine=each)) for each in (machine, {"cpu": "another"}))
    assert method_page.validation(here).startswith(f"validated {found['created'][:10]} (form tiny)")
    assert "repeatability: contradictions 0 of 1" in method_page.validation(here)
    assert method_page.validation(elsewhere) is None


def test_a_file_that_cannot_be_written_is_said_before_anything_is_measured(tmp_path):
    assert_refused(
        validate(tmp_path, "--json", "no/such/folder.json"), "--json no/such/folder.json", "cannot be written"
    )
    assert_refused(validate(tmp_path, "--full"), "not allowed with argument")


def test_a_proof_that_cannot_be_done_costs_no_other():
    form = replace(QUICK, rounds=1, blocks=1, sample_ms=1, silent_cells=1, siblings=1, planted=(0.5,), tries=1)
    host = replace(discover(), workload_dirs=[])  # only twins find their workloads
    for _ in range(4):
        found = {proof.name: proof for proof in validation.validate(form, host, lambda _: None)}
        if not any(taken_by_others(note) for proof in found.values() for note in proof.notes):
            break
    assert [name for name, proof in found.items() if proof.figures] == ["silence", "power"]
    assert found["floor"].holds is Holds.CANNOT_TELL
    assert "could not be done: " in found["floor"].notes[0]


def test_without_backends_there_is_nothing_to_validate(tmp_path):
    hide = "from allocmark import discovery\ndiscovery.discover = discovery.Host\n" + TINY
    done = subprocess.run(
        [sys.executable, "-c", hide, "validate", "--quick"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert_refused(done, "no backend can run here")


@pytest.mark.parametrize("text", [None, "{", '{"created": 1}', "[]"])
def test_what_is_no_validation_is_not_cited(tmp_path, monkeypatch, text):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    file = validation_file({"cpu": "this"})
    file.parent.mkdir()
    if text is not None:
        file.write_text(text)
    assert newest_validation({"cpu": "this"}) is None


def test_a_row_stays_within_80_columns():
    figure = Figure("a backend with a long name bulk 128", 1.0, "+1234 % [+1200, +1234567]", "99 %", Holds.CANNOT_TELL)
    lines = render_validation([Proof("repeatability", [figure], 1.0, {})]).splitlines()
    assert max(map(len, lines[:3])) <= 80
    assert lines[2].split()[-2:] == ["cannot", "tell"]


@pytest.mark.parametrize(
    ("said", "end"),
    [
        ([Holds.YES], "Every figure keeps its limit."),
        ([Holds.YES, Holds.CANNOT_TELL], "No figure is beyond its limit; where it cannot tell, a longer form may."),
        ([Holds.NO, Holds.YES], "Beyond a limit: first."),
        ([Holds.YES, None], "No figure is beyond its limit; where it cannot tell, a longer form may."),
    ],
)
def test_the_table_ends_with_what_it_comes_to(said, end):
    proofs = [
        Proof(name, [Figure("what", 1.0, "1 %", "2 %", holds)] if holds else [], 1.0, {}, ["a note"])
        for name, holds in zip(("first", "second"), said, strict=False)
    ]
    text = render_validation(proofs)
    assert ("could not be done" in text) == (None in said)
    assert text.endswith(f"first: a note\n{''.join(f'{p.name}: a note' + chr(10) for p in proofs[1:])}{end}\n")
