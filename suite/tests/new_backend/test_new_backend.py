# SPDX-License-Identifier: BSD-3-Clause
"""`allocmark new-backend`: what it refuses, and that what it writes is as tidy as the rest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support import assert_refused, output

from allocmark.new_backend import KINDS, rendered, write

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize("name", ["", "My", "9lives", "../up", "pool_", "x" * 41])
def test_a_name_that_cannot_be_is_refused(allocmark_command, tmp_path, name):
    assert_refused(allocmark_command("new-backend", name), "cannot be the name of a backend", "a-z and 0-9")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["null", "allocmark"])
def test_a_name_that_is_taken_is_refused(allocmark_command, name):
    assert_refused(allocmark_command("new-backend", name), "plugin 'allocmark' is here already", "choose another")


def test_an_existing_folder_is_left_alone(allocmark_command, tmp_path):
    (tmp_path / "allocmark-mine").mkdir()
    assert_refused(allocmark_command("new-backend", "mine"), "allocmark-mine: exists already", "-o")
    assert list((tmp_path / "allocmark-mine").iterdir()) == []


@pytest.mark.parametrize(("kind", "variable"), [("malloc", "CC"), ("cxx", "CXX")])
def test_a_missing_compiler_is_said_before_anything_is_written(
    allocmark_command, tmp_path, monkeypatch, kind, variable
):
    monkeypatch.setenv(variable, "no-such-compiler -m64")
    done = allocmark_command("new-backend", "mine", "--kind", kind)
    assert_refused(done, "compiler: 'no-such-compiler' is not found", variable, "apt-get install")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_tidy(tmp_path, kind):
    write("mypool", kind, tmp_path / "mine")
    files = rendered("mypool", kind)
    assert {str(each.relative_to(tmp_path / "mine")) for each in tmp_path.rglob("*") if each.is_file()} == set(files)
    assert not [path for path, text in files.items() if re.search(r"SPDX|(?<!\$)\{\{|\{%", text)]
    assert not [path for path, text in files.items() for line in text.splitlines() if line != line.rstrip()]
    for name in ("allocmark", "gate"):
        yaml.safe_load(files[f".github/workflows/{name}.yml"])
    ruff = ["--isolated", "--line-length", "120"]
    output(BIN / "ruff", "check", *ruff, "--select", "E,F,I,UP,W", cwd=tmp_path / "mine")
    output(BIN / "ruff", "format", *ruff, "--check", cwd=tmp_path / "mine")
    (source,) = (tmp_path / "mine" / "src").iterdir()
    output(BIN / "clang-format", f"--style=file:{ROOT / '.clang-format'}", "--dry-run", "-Werror", source)


def test_a_name_of_several_words_is_that_of_everything(tmp_path, allocmark_command):
    done = allocmark_command("new-backend", "my-pool_2", "--kind", "cxx", "-o", "deep/folder")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "deep" / "folder"
    build = [sys.executable, "setup.py", "-q", "egg_info", "build_ext", "--inplace"]
    subprocess.run(build, cwd=folder, check=True, capture_output=True, env={**os.environ, "ALLOCMARK_MARCH": "native"})
    cell = ["--short", "--verify", "--set", "bulk=8", "--set", "keep=128"]
    run = allocmark_command("run", "burst", "-b", "my-pool_2", *cell, plugins=[folder])
    assert run.returncode == 0, run.stdout + run.stderr
    assert "my-pool_2" in run.stdout
