# SPDX-License-Identifier: BSD-3-Clause
"""`allocmark new-backend`: what it refuses, and that what it writes is as tidy as the rest."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from support import assert_refused, make_plugin, output

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


@pytest.mark.parametrize(("kind", "variable"), [("pool", "CC"), ("cxx", "CXX")])
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
    for source in (tmp_path / "mine").glob("src/*"):
        output(BIN / "clang-format", f"--style=file:{ROOT / '.clang-format'}", "--dry-run", "-Werror", source)


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_to_begin_with_is_named_and_there(allocmark_command, tmp_path, kind):
    done = allocmark_command("new-backend", "mine", "--kind", kind)
    file = done.stdout.splitlines()[0].rpartition(" in ")[2]
    assert (tmp_path / "allocmark-mine" / file).is_file()


def build(folder: Path, **environ: str) -> None:
    """Compile a distribution where it lies."""
    command = [sys.executable, "setup.py", "-q", "egg_info", "build_ext", "--inplace"]
    output(*command, cwd=folder, env={**os.environ, "ALLOCMARK_MARCH": "native", **environ})


#: Code that no compiler of the other language takes.
MORE = {
    "more.c": "int more(int class) { return class + 1; }\n",
    "more.cpp": "#include <concepts>\ntemplate <std::integral T> T next(T of) { return of + 1; }\n"
    'extern "C" int more(int of) { return next(of); }\n',
}


@pytest.mark.parametrize("compilers", [{}, {"CC": "clang", "CXX": "clang++"}], ids=["default", "clang"])
@pytest.mark.parametrize(("kind", "more"), [("cxx", "more.c"), ("pool", "more.cpp")])
def test_sources_of_c_and_of_cpp_are_built_side_by_side(tmp_path, kind, more, compilers):
    if compilers and not shutil.which("clang++"):
        pytest.skip("there is no clang++")
    folder = tmp_path / "mine"
    write("mine", kind, folder)
    (folder / "src" / more).write_text(MORE[more])
    script = folder / "allocmark_mine" / "_build.py"
    script.write_text(script.read_text().replace('["src/', f'["src/{more}", "src/', 1))
    build(folder, **compilers)
    (module,) = folder.glob("allocmark_mine/_native*.so")
    assert ctypes.CDLL(str(module)).more(41) == 42


def test_a_library_with_malloc_and_free_alone_is_measured_under_its_file(tmp_path, allocmark_command):
    code = "#include <stdlib.h>\nvoid *qp_malloc(size_t n) { return malloc(n); }\nvoid qp_free(void *p) { free(p); }\n"
    library = tmp_path / "libqp.so"
    (tmp_path / "qp.c").write_text(code)
    output("cc", "-shared", "-fPIC", "-Wl,--build-id", "-o", library, tmp_path / "qp.c")
    folder = tmp_path / "mine"
    write("mine", "malloc", folder)
    plugin = folder / "allocmark_mine" / "plugin.py"
    text = plugin.read_text().replace('"libc.so.6"', f'"{library}"').replace('PREFIX = ""', 'PREFIX = "qp_"')
    plugin.write_text(text)
    make_plugin(folder, "mine", "", "allocmark_mine.plugin")
    once = ["--short", "--set", "bulk=8", "--set", "keep=128", "--rounds", "1", "--json", "out.json"]
    run = allocmark_command("run", "burst", "-b", "mine", *once, plugins=[folder])
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"mine: {library}, build id" in run.stdout
    (cell,) = (each for each in json.loads((tmp_path / "out.json").read_text())["cells"] if each["backend"] == "mine")
    assert cell["attestation"]["library"]["calls"] == ["qp_free", "qp_malloc"]
    plugin.write_text(text.replace("libqp.so", "libqq.so"))
    listed = allocmark_command("list", "backends", plugins=[folder]).stdout
    assert "libqq.so is not found" in " ".join(listed.split())


def test_a_name_of_several_words_is_that_of_everything(tmp_path, allocmark_command):
    done = allocmark_command("new-backend", "my-pool_2", "--kind", "cxx", "-o", "deep/folder")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "deep" / "folder"
    build(folder)
    cell = ["--short", "--verify", "--set", "bulk=8", "--set", "keep=128"]
    run = allocmark_command("run", "burst", "-b", "my-pool_2", *cell, plugins=[folder])
    assert run.returncode == 0, run.stdout + run.stderr
    assert "my-pool_2" in run.stdout
