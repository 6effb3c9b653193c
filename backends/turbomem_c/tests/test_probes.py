# SPDX-License-Identifier: BSD-3-Clause
"""The probes that tracers find in a program: their notes as readelf reads them, and the code at their places."""

from __future__ import annotations

import platform
import re
import shutil
from pathlib import Path

import pytest
from native_programs import CXX, WARNINGS, run

PROBES = {"pool_create", "pool_destroy", "refill", "flush", "exhausted", "guest_call"}
SOURCE = """
#include "turbomem/turbomem.hpp"
using namespace turbomem;
template <class Pool> void use() {
    Pool p({.objects = 100, .magazine = 8, .pages = {.kind = page_kind::base}});
    int *all[101];
    auto mine = p.enter();
    if (mine.allocate_up_to(all) == 100) mine.deallocate(std::span<int *const>(all, 100));
    if (p.try_allocate(all)) return;
    p.deallocate(p.allocate());
}
int main() {
    use<pool<int>>();
    use<pool<int, threads::per_cpu>>();
}
"""


@pytest.fixture(params=[CXX, "clang++"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed: apt install {request.param.removesuffix('++')}")
    if platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip(f"no probes on {platform.machine()}")
    source, program = tmp_path / "probes.cpp", tmp_path / "probes"
    source.write_text(SOURCE)
    run(request.param, "-std=c++20", "-O1", *WARNINGS, source, "-o", program)
    return program


def test_tracers_find_every_probe(program: Path) -> None:
    run(program)
    notes = run("readelf", "-n", "--wide", program)
    pattern = r"Provider: (\S+)\s+Name: (\S+)\s+Location: (\S+), Base: (\S+), Semaphore: (\S+)\s+Arguments: (.*)"
    found = re.findall(pattern, notes)
    assert {name for _, name, *_ in found} == PROBES
    listing = run("objdump", "-d", "--no-show-raw-insn", program)
    for provider, name, location, base, semaphore, arguments in found:
        assert provider == "turbomem"
        assert int(base, 16) != 0
        assert int(semaphore, 16) == 0
        assert re.fullmatch(r"8@\S+ 8@\S+", arguments), (name, arguments)
        assert re.search(rf"^ *{int(location, 16):x}:\s+nop", listing, re.M), name


def test_a_program_may_do_without(tmp_path: Path) -> None:
    source, assembly = tmp_path / "probes.cpp", tmp_path / "probes.s"
    source.write_text(SOURCE)
    run(CXX, "-std=c++20", "-O0", "-DTURBOMEM_NO_PROBES", *WARNINGS, "-S", source, "-o", assembly)
    assert "stapsdt" not in assembly.read_text()
