# SPDX-License-Identifier: BSD-3-Clause
"""Caches of CPUs: by restartable sequences, and what runs where the process has none."""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cffi import FFI
from native_programs import CXX, NATIVE, ROOT, WARNINGS, Build, compiled, registered, run


def first_line(output: str) -> str:
    return output.splitlines()[0]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """With the program compiled."""
    build = Build.of("plain", tmp_path_factory.mktemp("plain"))
    compiled("per_cpu", build)
    return build


def test_threads_lose_and_strand_nothing(plain: Build) -> None:
    output = run(plain.folder / "per_cpu", "60000")
    if registered():
        assert first_line(output) == "CPUs"
        # Enough began anew that a sequence which takes effect by halves would have shown.
        assert sum(map(int, re.findall(r"(\d+) restarts", output))) >= 10


def test_without_restartable_sequences_threads_have_the_caches(plain: Build) -> None:
    output = run("env", "GLIBC_TUNABLES=glibc.pthread.rseq=0", plain.folder / "per_cpu", "2000")
    assert not registered() or first_line(output) == "GLIBC_TUNABLES switches restartable sequences off"


def test_under_valgrind_threads_have_the_caches(plain: Build) -> None:
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed: apt install valgrind")
    output = run("valgrind", "-q", "--error-exitcode=9", plain.folder / "per_cpu", "50")
    assert not registered() or "Valgrind" in first_line(output)


@pytest.mark.long
@pytest.mark.parametrize("name", ["address", "thread"])
def test_under_a_sanitizer(name: str, tmp_path: Path) -> None:
    output = run(compiled("per_cpu", Build.of(name, tmp_path), quick=True), "3000")
    assert (first_line(output) == "CPUs") == (registered() and name != "thread")


def test_a_call_is_one_sequence_without_a_locked_instruction(tmp_path: Path) -> None:
    source, assembly = tmp_path / "sequence.cpp", tmp_path / "sequence.s"
    source.write_text(
        '#include "turbomem/cpu/cpu_caches.hpp"\nusing namespace turbomem;\n'
        'extern "C" bool get(cpu_caches &c, void **o, unsigned n) { return c.get_at_once(o, n) == sequence::done; }\n'
        'extern "C" bool put(cpu_caches &c, void **o, unsigned n) { return c.put_at_once(o, n) == sequence::done; }\n'
    )
    run(CXX, "-std=c++20", "-O2", "-fPIC", *WARNINGS, "-S", source, "-o", assembly)
    for name in ("get", "put"):
        body = assembly.read_text().split(f"\n{name}:\n", 1)[1].split(f".size\t{name},", 1)[0]
        assert body.count("__rseq_cs") == 1
        assert not re.search(r"\block\b|\bxchg|\b(ld|st)a?xr", body)
        assert not re.search(r"\t(?:call|bl|push)\b", body)


#: What the program must notice: file, what it says, what a careless hand would write.
MUTANTS = {
    "what was taken is touched without a barrier": ("cpu_caches.hpp", "settled = barrier_();", "settled = true;"),
    "magazines taken out without a compare": (
        "sequences.hpp", "lock cmpxchgq %%rcx, (%%rdx)", "movq %%rcx, (%%rdx)",
    ),
    "nothing begins anew": ("sequences.hpp", ".quad 2f, 3f - 2f, 4f", ".quad 2f, 0, 4f"),
    "restarts without end": ("cpu_caches.hpp", "patience = 16", "patience = 1 << 30"),
    "what is behind is forgotten": ("cpu_caches.hpp", "if (previous != nullptr) taken[magazines++] = previous;", ""),
    "a refused barrier loses what was taken": ("cpu_caches.hpp", "unsettled_.push(depot_, taken[i]->index);", "{}"),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="on one CPU there are no caches of others to take from")
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_caught(name: str, tmp_path: Path) -> None:
    if not registered() or platform.machine() != "x86_64":
        pytest.skip("needs restartable sequences, on x86-64")
    header, right, wrong = MUTANTS[name]
    include = tmp_path / "include"
    shutil.copytree(ROOT / "include", include)
    (file,) = include.rglob(header)
    text = file.read_text()
    assert right in text, f"{header} changed: plant this bug anew"
    file.write_text(text.replace(right, wrong))
    program = tmp_path / "per_cpu"
    run(CXX, "-std=c++20", "-O2", "-pthread", f"-I{include}", NATIVE / "per_cpu.cpp", "-o", program)
    try:
        done = subprocess.run([program, "300000"], capture_output=True, timeout=120)
    except subprocess.TimeoutExpired:
        return  # lost in a damaged list: found
    assert done.returncode != 0


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
