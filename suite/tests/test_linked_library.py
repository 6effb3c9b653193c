# SPDX-License-Identifier: BSD-3-Clause
"""A backend that says one library and calls another's functions is refused: by the kit, and in the row of a run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support import make_plugin, setting

import allocmark
from allocmark.conformance import cases
from allocmark.new_backend import rendered

CELL = ["burst", *setting(bulk=8, keep=128, touch=0, off_ns=0, cores=1, cache=256), "--rounds", "1", "--sample-ms", "1"]


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, linked with a library that has a free of its own: the process's wins all the same."""
    folder = tmp_path_factory.mktemp("linked")
    foo = Path(__file__).parent / "native" / "foo.c"
    command = ["cc", "-fno-builtin", "-shared", "-fPIC", "-Wl,-soname,libother.so", "-o", folder / "libother.so", foo]
    subprocess.run(command, check=True, timeout=60)
    source = folder / "freelist.c"
    source.write_text(rendered("freelist", "pool")["src/freelist.c"])
    builder = allocmark.cffi_module(
        "linked_native",
        "const void *allocmark_freelist_table(void);",
        [str(source)],
        libraries=["other"],
        library_dirs=[str(folder)],
        extra_link_args=["-Wl,--no-as-needed", f"-Wl,-rpath,{folder}", "-pthread"],
    )
    builder.compile(tmpdir=str(folder))
    make_plugin(
        folder,
        "linked",
        """
import allocmark
from linked_native import ffi, lib

TABLE = int(ffi.cast("uintptr_t", lib.allocmark_freelist_table()))

@allocmark.hookimpl
def allocmark_backends():
    return [
        allocmark.Backend(name="linked", variant=name, description="", version="9", table=TABLE, library=library)
        for name, library in [("named", "libother.so"), ("unnamed", "")]
    ]
""",
    )
    return folder


@pytest.mark.parametrize("variant", ["named", "unnamed"])
def test_a_backend_that_calls_another_library_is_refused_by_the_kit(linked, variant, monkeypatch):
    monkeypatch.syspath_prepend(linked)
    monkeypatch.setenv("PYTHONPATH", str(linked), prepend=os.pathsep)  # for the processes of the cases
    result = next(case for case in cases(f"linked:{variant}") if case.name.startswith("handover")).run()
    assert result.status == "failed"
    assert f"its free is not that of {linked}/libother.so, but that of /" in result.reason
    assert "libc.so" in result.reason


def test_a_backend_that_calls_another_library_has_no_figures_and_its_row_says_why(allocmark_command, linked):
    done = allocmark_command("run", *CELL, "-b", "linked:named", plugins=[linked])
    assert done.returncode == 1, done.stderr
    said = " ".join(done.stdout.split())
    assert f"its free is not that of {linked}/libother.so, but that of" in said
    assert "take its functions from the file itself" in said


def test_a_library_that_is_declared_and_never_called_is_told(allocmark_command, mutants, tmp_path):
    code = (mutants / "allocmark_test_mutant.py").read_text()
    code = code.replace('name="mutant"', 'name="quiet", library="libz.so.1"')
    plugin = make_plugin(tmp_path / "quiet", "quiet", code)
    done = allocmark_command("run", *CELL, "-b", "quiet:none", plugins=[mutants, plugin])
    assert done.returncode == 1, done.stderr
    assert "declared libz.so.1, but it calls no function of it" in " ".join(done.stdout.split())
