# SPDX-License-Identifier: BSD-3-Clause
"""Caches of CPUs: by restartable sequences, and what runs where the process has none."""

from __future__ import annotations

import errno
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from cffi import FFI
from native_programs import Build, assembly, compiled, registered, run


def first_line(output: str) -> str:
    return output.splitlines()[0]


@pytest.fixture(scope="module")
def program(plain: Build) -> Path:
    return compiled("per_cpu", plain)


def test_threads_lose_and_strand_nothing(program: Path) -> None:
    output = run(program, "60000")
    if registered():
        assert first_line(output) == "CPUs"
        # Enough began anew that a sequence which takes effect by halves would have shown.
        assert sum(map(int, re.findall(r"(\d+) restarts", output))) >= 10


def test_without_restartable_sequences_threads_have_the_caches(program: Path) -> None:
    output = run("env", "GLIBC_TUNABLES=glibc.pthread.rseq=0", program, "2000")
    assert not registered() or first_line(output) == "GLIBC_TUNABLES switches restartable sequences off"


def test_under_valgrind_threads_have_the_caches(program: Path) -> None:
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed: apt install valgrind")
    output = run("valgrind", "-q", "--error-exitcode=9", program, "50")
    assert not registered() or "Valgrind" in first_line(output)


@pytest.mark.long
@pytest.mark.parametrize("name", ["address", "thread"])
def test_under_a_sanitizer(name: str, tmp_path: Path) -> None:
    output = run(compiled("per_cpu", Build.of(name, tmp_path), quick=True), "3000")
    assert (first_line(output) == "CPUs") == (registered() and name != "thread")


def test_a_call_is_one_sequence_without_a_locked_instruction(tmp_path: Path) -> None:
    source = (
        '#include "turbomem/cpu/cpu_caches.hpp"\nusing namespace turbomem;\n'
        'extern "C" bool get(cpu_caches &c, void **o, unsigned n) { return c.get_at_once(o, n) == sequence::done; }\n'
        'extern "C" bool put(cpu_caches &c, void **o, unsigned n) { return c.put_at_once(o, n) == sequence::done; }\n'
    )
    functions = assembly(source, tmp_path, "-fPIC")
    for body in (functions["get"], functions["put"]):
        assert body.count("__rseq_cs") == 1
        assert not re.search(r"\block\b|\bxchg|\b(ld|st)a?xr", body)
        assert not re.search(r"\t(?:call|bl|push)\b", body)


def test_the_backend_says_what_the_caches_are_of(table: Any, ffi: FFI) -> None:
    table = type(table)(ffi, "per_cpu")
    assert table.init(pages="base") == 0
    pool = table.pool(objects=4000, cache=100, working_set=100)
    objects = ffi.new("void *[4000]")
    local = table.enter(pool, 0)
    for n in (1, 150, 4000):
        assert table.native.get_bulk(pool, local, objects, n) == 0
        assert table.native.available(pool) == 4000 - n
        table.native.put_bulk(pool, local, objects, n)
        assert table.native.available(pool) == 4000
    assert table.native.get_bulk(pool, local, ffi.new("void *[4001]"), 4001) == -errno.ENOENT
    facts = table.facts(pool)
    assert facts["caches"] == ("per CPU" if registered() else "per thread")
    assert ("caches_fallback" in facts) == (not registered())
    assert int(facts["depot_exchanges"]) >= 40
    table.native.thread_leave(pool, local)
    assert table.native.available(pool) == 4000
    table.native.pool_destroy(pool)
