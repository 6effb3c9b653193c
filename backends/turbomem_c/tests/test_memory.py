# SPDX-License-Identifier: BSD-3-Clause
"""Memory, pages, topology and what goes on between nodes; two real nodes are in vm/."""

from __future__ import annotations

import re
from pathlib import Path

from native_programs import Build, assembly, compiled, run

#: steps a thread in each shape of the program
STEPS = {"plain": 20_000, "thread": 1_000, "address": 4_000}


def test_memory_lies_where_it_was_asked_for(build_of_one_thread: Build) -> None:
    run(compiled("memory", build_of_one_thread, quick=True))


def test_small_pools_take_little(tmp_path: Path) -> None:
    run(compiled("footprint", Build.of("plain", tmp_path), quick=True))


def test_objects_come_from_their_node_and_go_home(build: Build) -> None:
    run(compiled("numa", build), str(STEPS[build.name]))


def straight_line(body: str) -> list[str]:
    """The instructions of a function up to its first return, by name: what runs when no unlikely branch is taken."""
    names = re.findall(r"^\t([a-z]\w*)", body, re.M)
    return names[: names.index("ret") + 1]


def test_one_node_costs_nothing(tmp_path: Path) -> None:
    calls = "".join(
        f'extern "C" bool get_{name}({name} &c, void **o, std::uint32_t n) {{ return c.get_bulk(o, n); }}\n'
        f'extern "C" void put_{name}({name} &c, void *const *o, std::uint32_t n) {{ c.put_bulk(o, n); }}\n'
        for name in ("cache", "numa_cache")
    )
    include = '#include "turbomem/exchange/numa_exchange.hpp"\nusing namespace turbomem;\n'
    functions = assembly(include + calls, tmp_path)
    for name in ("get", "put"):
        assert straight_line(functions[f"{name}_numa_cache"]) == straight_line(functions[f"{name}_cache"])
