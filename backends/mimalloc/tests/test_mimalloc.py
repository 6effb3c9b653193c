# SPDX-License-Identifier: BSD-3-Clause
"""Versions 2 and 3 of mimalloc, each in processes of its own, and nobody else's malloc."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from allocmark_mimalloc import plugin

import allocmark
from fixtures.backend_cells import attested, conformance


@pytest.mark.parametrize("variant", ["v2", "v3"])
def test_each_version_is_the_one_that_is_called(variant: str) -> None:
    found = attested(f"mimalloc:{variant}")
    assert found["process"]["version"].split(".")[0] == variant[1:]
    assert f"libmimalloc.so.{variant[1:]}" in found["library"]["file"]
    assert found["library"]["calls"] == ["mi_calloc", "mi_free", "mi_malloc", "mi_memalign", "mi_realloc"]


OPTIONS = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
print(library.mi_version())
"""


@pytest.mark.parametrize(
    ("variant", "option"),
    [
        ("v3_no_purge", "option 'purge_delay': -1"),
        ("v3_thp", "option 'allow_large_os_pages': 1"),
        ("v2_no_purge", "option 'allow_decommit': 0"),
        ("v2_thp", "option 'large_os_pages': 1"),
    ],
)
def test_mimalloc_knows_the_option_of_a_variant(variant: str, option: str) -> None:
    (backend,) = (each for each in plugin.allocmark_backends() if each.variant == variant)
    if backend.unavailable:
        pytest.skip(backend.unavailable.reason)
    environ = {**os.environ, **backend.environ, "MIMALLOC_VERBOSE": "1"}
    command = [sys.executable, "-c", OPTIONS, backend.library]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True)
    assert option in done.stdout + done.stderr


# Version 3 exports malloc, too. Whoever looked malloc up before must find the same afterwards, and whoever looks it
# up now, by name or in a library that is loaded later, must not find mimalloc's.
MALLOC_OF_THE_PROCESS = """
import ctypes, sys
from allocmark.engine import malloc_problem

class Place(ctypes.Structure):
    _fields_ = [("file", ctypes.c_char_p), *((name, ctypes.c_void_p) for name in ("base", "symbol", "at"))]

def owner(function):
    place = Place()
    assert process.dladdr(ctypes.cast(function, ctypes.c_void_p), ctypes.byref(place))
    return place.file.decode()

process = ctypes.CDLL(None)
before = owner(process.malloc)
assert malloc_problem({"malloc.library": sys.argv[1], "malloc.prefix": "mi_"}) is None
mi = ctypes.CDLL(sys.argv[1])
later = ctypes.CDLL(sys.argv[2])
later.taken.restype = process.malloc.restype = mi.mi_malloc.restype = ctypes.c_void_p
mi.mi_is_in_heap_region.argtypes = [ctypes.c_void_p]
ours = [bool(mi.mi_is_in_heap_region(take(64)) & 0xff) for take in (mi.mi_malloc, process.malloc, later.taken)]
print(before, owner(process.malloc), owner(mi.malloc), *ours, sep="\\n")
"""


def test_the_malloc_of_the_process_is_untouched(tmp_path: Path) -> None:
    (backend,) = (each for each in plugin.allocmark_backends() if each.variant == "v3")
    if backend.unavailable:
        pytest.skip(backend.unavailable.reason)
    (tmp_path / "later.c").write_text("#include <stdlib.h>\nvoid *taken(size_t n) { return malloc(n); }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "later.so", "later.c"], cwd=tmp_path, check=True)
    command = [sys.executable, "-c", MALLOC_OF_THE_PROCESS, backend.library, str(tmp_path / "later.so")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    before, after, exported, *ours = done.stdout.splitlines()
    assert before == after
    assert "libc.so" in after
    assert exported == backend.library  # it could have been taken
    assert ours == ["True", "False", "False"]


def test_what_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocmark, "find_library", lambda soname: None, raising=False)
    monkeypatch.setattr(plugin, "_from_wheel", lambda: None)
    found = plugin.allocmark_backends()
    assert [each.problems() for each in found] == [[]] * len(found)
    fixes = {each.variant: each.unavailable.fix for each in found if each.unavailable}
    assert fixes["v3"] == "pip install cmeel-mimalloc"
    assert "apt-get install libmimalloc2.0" in fixes["v2"]


test_conformance = conformance("mimalloc")
