# SPDX-License-Identifier: BSD-3-Clause
"""Memory, pages, topology and what goes on between nodes; two real nodes are in vm/."""

from __future__ import annotations

import re
from pathlib import Path

from native_programs import CXX, WARNINGS, Build, compiled, run

#: steps a thread in each shape of the program
STEPS = {"plain": 20_000, "thread": 1_000, "address": 4_000}


def test_memory_lies_where_it_was_asked_for(build: Build) -> None:
    run(compiled("memory", build))


def test_small_pools_take_little(tmp_path: Path) -> None:
    run(compiled("footprint", Build.of("plain", tmp_path)))


def test_objects_come_from_their_node_and_go_home(build: Build) -> None:
    run(compiled("numa", build), str(STEPS[build.name]))


def straight_line(program: Path, function: str) -> list[str]:
    """The instructions of a function up to its first return, by name: what runs when no unlikely branch is taken."""
    listing = run("objdump", "-d", "--no-show-raw-insn", program)
    body = listing.split(f"<{function}>:\n", 1)[1].split("\n\n", 1)[0]
    names = re.findall(r"^ *[0-9a-f]+:\s+(\S+)", body, re.M)
    return names[: names.index("ret") + 1]


def test_one_node_costs_nothing(tmp_path: Path) -> None:
    source, program = tmp_path / "fast.cpp", tmp_path / "fast.o"
    calls = "".join(
        f'extern "C" bool get_{name}({name} &c, void **o, std::uint32_t n) {{ return c.get_bulk(o, n); }}\n'
        f'extern "C" void put_{name}({name} &c, void *const *o, std::uint32_t n) {{ c.put_bulk(o, n); }}\n'
        for name in ("cache", "numa_cache")
    )
    source.write_text(f'#include "turbomem/exchange/numa_exchange.hpp"\nusing namespace turbomem;\n{calls}')
    run(CXX, "-std=c++20", "-O2", *WARNINGS, "-c", source, "-o", program)
    assert straight_line(program, "get_numa_cache") == straight_line(program, "get_cache")
    assert straight_line(program, "put_numa_cache") == straight_line(program, "put_cache")
