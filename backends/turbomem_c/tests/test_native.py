# SPDX-License-Identifier: BSD-3-Clause
"""The C++ and C test programs, plain and under the sanitizers."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from native_programs import CXX, HEADERS, ROOT, WARNINGS, Build, assembly, compiled, compiled_from_c, run

import allocmark

#: steps a thread in each shape of the stress program: a second or two in every build
STEPS = {"plain": 200_000, "thread": 5_000, "address": 8_000}


def test_parts_keep_their_promises(build_of_one_thread: Build) -> None:
    run(compiled("unit", build_of_one_thread, quick=True))


def test_pools_keep_their_promises(build: Build) -> None:
    run(compiled("pool", build, quick=True))


def test_children_of_fork_go_on(build: Build) -> None:
    run(compiled("forks", build, quick=True))


def test_adapters_keep_their_promises(build: Build) -> None:
    run(compiled("adapters", build, quick=True))


REFUSALS = {
    "threads::slots, threads::per_thread": "two threading policies: take one of threads::slots",
    "numa::by_node, numa::any_node": "two NUMA policies: take one of numa::any_node",
    "checking::none, checking::checked<>": "two checking policies",
    "metering::none, metering::calls": "two metering policies",
    "int": "what follows the object type must be policies",
}


def test_policies_that_contradict_are_refused_with_a_reason(tmp_path: Path) -> None:
    source = tmp_path / "refused.cpp"
    functions = [f"void f{i}() {{ pool<int, {policies}> p({{.objects = 1}}); }}" for i, policies in enumerate(REFUSALS)]
    source.write_text("\n".join(['#include "turbomem/turbomem.hpp"', "using namespace turbomem;", *functions, ""]))
    done = subprocess.run(
        [CXX, "-std=c++20", "-fsyntax-only", *WARNINGS, source], capture_output=True, text=True, timeout=120
    )
    assert done.returncode != 0
    for policies, reason in REFUSALS.items():
        assert f"static assertion failed: {reason}" in done.stderr, policies


def test_threads_lose_nothing(build: Build) -> None:
    run(compiled("stress", build), str(STEPS[build.name]))


def test_c_interface_from_c(build: Build) -> None:
    run(compiled_from_c(build))


def first_of(header: str) -> str | None:
    """The header of the library that this one includes before any other header."""
    found = re.search(r'^#include (?:"(.*)"|<)', (ROOT / "include" / header).read_text(), re.M)
    return found and found[1]


def chains() -> Iterator[list[str]]:
    """Every header, once or more, each behind the one that it includes first itself, which therefore lends it nothing:
    a chain shows that all of its headers stand alone."""
    for last in sorted({*HEADERS} - {first_of(header) for header in HEADERS}):
        chain = [last]
        while first := first_of(chain[0]):
            chain.insert(0, first)
        yield chain


def test_every_header_is_in_a_chain() -> None:
    assert {header for chain in chains() for header in chain} == {*HEADERS}


@pytest.mark.parametrize("chain", list(chains()), ids=lambda chain: chain[-1])
def test_each_header_stands_alone(chain: list[str], tmp_path: Path) -> None:
    source = tmp_path / "alone.cpp"
    source.write_text("".join(f'#include "{header}"\n' for header in chain * 2))
    run(CXX, "-std=c++20", "-fsyntax-only", *WARNINGS, source)


def test_a_call_costs_as_much_with_many_pools_as_with_few(tmp_path: Path) -> None:
    """Of a thread that entered none of them: counted in instructions."""
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed: apt install valgrind")
    program = tmp_path / "many_pools"
    run(CXX, "-std=c++20", "-O1", *WARNINGS, ROOT / "tests" / "native" / "many_pools.cpp", "-o", program)

    def instructions(pools: int, calls: int) -> int:
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, str(pools), str(calls)]
        said = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True).stderr
        found = re.search(r"Collected : (\d+)", said)
        assert found, said
        return int(found[1])

    few, many = (instructions(pools, 20_000) - instructions(pools, 0) for pools in (8, 200))
    assert 0 < many < 1.5 * few


def test_table_needs_no_look_up_on_the_measured_path(tmp_path: Path) -> None:
    """get_bulk and put_bulk call nothing but their own slow path, and lock nothing: no memcpy, no thread-local
    storage. They keep nothing on the stack, which would cost as much again at bulk 8."""
    flags = [*allocmark.get_compile_args(), "-fvisibility=hidden", "-fPIC", f"-I{allocmark.get_include()}"]
    functions = assembly(ROOT / "src" / "allocmark_table.cpp", tmp_path, *flags)
    for name in ("get", "put"):
        label = f"_ZN12_GLOBAL__N_113through_cache8{name}_bulkE"
        (body,) = (body for symbol, body in functions.items() if symbol.startswith(label))
        assert "%fs:" not in body
        assert "%rsp)" not in body
        assert "\tlock" not in body
        assert "\txchg" not in body
        leaves = [line for line in body.splitlines() if "\tcall" in line or ("\tjmp\t_" in line)]
        assert leaves, "the slow path is inlined"
        assert all(f"{name}_slowly" in line for line in leaves)
