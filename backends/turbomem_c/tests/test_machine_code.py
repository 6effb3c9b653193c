# SPDX-License-Identifier: BSD-3-Clause
"""The machine code of the fast path: no locked instruction, no call, no thread-local storage, and the mix of the rest
as it is on record for the compiler in golden/.

To record what this compiler makes now: TURBOMEM_RECORD=1 pytest backends/turbomem_c/tests/test_machine_code.py
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from machine_code import FORBIDDEN, Instruction, functions, mix
from native_programs import CXX, NATIVE, ROOT, WARNINGS, run

GOLDEN = Path(__file__).parent / "golden"
RECORD = "TURBOMEM_RECORD=1 pytest backends/turbomem_c/tests/test_machine_code.py"
NAMES = [f"{layer}_{verb}_{n}" for layer in ("cache", "pool") for verb in ("get", "put") for n in ("1", "32", "n")]
PACKAGES = {"clang++": "clang", "aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu"}


class Compiler:
    """A C++ compiler, and what it makes of native/fast_path.cpp."""

    def __init__(self, command: str) -> None:
        self.command = command
        triple = run(command, "-dumpmachine").strip()
        self.machine = triple.split("-")[0]
        if self.machine not in ("x86_64", "aarch64"):
            pytest.skip(f"{command} compiles for {self.machine}, whose instructions are not sorted into kinds here")
        brand = "clang" if "clang" in run(command, "--version") else "gcc"
        self.name = f"{brand}-{run(command, '-dumpversion').split('.')[0].strip()}-{self.machine}"
        self.objdump = next((o for o in (f"{triple}-objdump", "objdump") if shutil.which(o)), None)
        if self.objdump is None:
            pytest.skip("objdump is not installed: apt install binutils")

    def code(self, folder: Path, *flags: str) -> dict[str, list[Instruction]]:
        out = folder / "fast_path.o"
        source = NATIVE / "fast_path.cpp"
        run(self.command, "-std=c++20", "-O2", *WARNINGS, *flags, "-c", source, "-o", out)
        assert self.objdump is not None
        found = functions(out, self.objdump)
        return {name: found[name] for name in NAMES}

    def mixes(self, folder: Path, *flags: str) -> dict[str, dict[str, int]]:
        return {name: mix(body, self.machine) for name, body in self.code(folder, *flags).items()}


@pytest.fixture(scope="module", params=[CXX, *PACKAGES])
def compiler(request: pytest.FixtureRequest) -> Compiler:
    versions = [request.param, *(f"{request.param}-{n}" for n in range(22, 12, -1))]
    command = next((c for c in versions if shutil.which(c)), None)
    if command is None:
        pytest.skip(f"{request.param} is not installed: apt install {PACKAGES.get(request.param, 'g++')}")
    return Compiler(command)


def faults(mixes: dict[str, dict[str, int]]) -> list[str]:
    """What must not be on a fast path, by function."""
    return [f"{name}: {found[kind]} {kind}" for name, found in mixes.items() for kind in FORBIDDEN if kind in found]


def differences(recorded: dict[str, dict[str, int]], found: dict[str, dict[str, int]]) -> list[str]:
    return [
        f"{name}: {kind} {recorded[name].get(kind, 0)} -> {found[name].get(kind, 0)}"
        for name in NAMES
        for kind in sorted({*recorded[name], *found[name]})
        if recorded[name].get(kind, 0) != found[name].get(kind, 0)
    ]


def test_fast_path_is_as_recorded(compiler: Compiler, tmp_path: Path) -> None:
    found = compiler.mixes(tmp_path)
    assert faults(found) == []
    for name, kinds in found.items():
        assert kinds["slow path"] >= 1, f"{name}: the slow path is inlined"
    golden = GOLDEN / f"fast_path-{compiler.name}.json"
    if os.environ.get("TURBOMEM_RECORD"):
        golden.parent.mkdir(exist_ok=True)
        rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(kinds)}" for name, kinds in found.items())
        golden.write_text(f"{{\n{rows}\n}}\n")
    if not golden.exists():
        pytest.skip(f"nothing forbidden; no mix is on record for {compiler.name}: {RECORD}")
    changed = differences(json.loads(golden.read_text()), found)
    assert changed == [], f"recorded -> found, {compiler.name}; if it is meant to be so: {RECORD}"


PLANTS = {
    "locked": "static int planted; __atomic_fetch_add(&planted, 1, __ATOMIC_RELAXED)",
    "call": "extern void planted(); planted()",
    "thread-local": "static thread_local volatile int planted; planted = 1",
}


@pytest.mark.parametrize("kind", PLANTS)
def test_what_must_not_be_there_is_found(compiler: Compiler, kind: str, tmp_path: Path) -> None:
    if kind == "locked" and compiler.machine == "aarch64":
        found = compiler.mixes(tmp_path, f"-DPLANT={PLANTS[kind]}", "-mno-outline-atomics")
    else:
        found = compiler.mixes(tmp_path, f"-DPLANT={PLANTS[kind]}")
    for name in ("cache_get_1", "cache_put_1"):
        assert any(re.fullmatch(rf"{name}: \d+ {kind}", fault) for fault in faults(found))


def test_a_changed_mix_is_told(compiler: Compiler, tmp_path: Path) -> None:
    plain = compiler.mixes(tmp_path)
    planted = compiler.mixes(tmp_path, "-DPLANT=static volatile int planted; planted = 1")
    told = differences(plain, planted)
    assert any(line.startswith("cache_put_1: store ") for line in told)
    assert all(line.startswith(("cache_get_1", "cache_put_1")) for line in told)


def bare(code: dict[str, list[Instruction]]) -> dict[str, list[str]]:
    """Without the names of what is referred to: templates differ in theirs."""
    return {name: [re.sub(r" <.*>| [0-9a-f]+$", "", i.text) for i in body] for name, body in code.items()}


def test_checks_that_are_off_leave_no_trace(compiler: Compiler, tmp_path: Path) -> None:
    plain = bare(compiler.code(tmp_path))
    assert bare(compiler.code(tmp_path, "-DPOLICIES=, turbomem::checking::none")) == plain
    checked = bare(compiler.code(tmp_path, "-DPOLICIES=, turbomem::checking::checked<>"))
    assert checked["pool_put_1"] != plain["pool_put_1"]
    assert checked["cache_put_1"] == plain["cache_put_1"]


def test_points_of_tests_leave_no_trace(compiler: Compiler, tmp_path: Path) -> None:
    text = (ROOT / "include" / "turbomem" / "point.hpp").read_text()
    assert "static_cast<void>(0)" in text
    hooked = compiler.mixes(tmp_path, "-DTURBOMEM_POINT(name)=asm volatile(\"nop\" ::: \"memory\")")
    assert sum(hooked["cache_get_1"].values()) >= sum(compiler.mixes(tmp_path)["cache_get_1"].values())
