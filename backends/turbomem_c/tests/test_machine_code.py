# SPDX-License-Identifier: BSD-3-Clause
"""The machine code of the fast path: no locked instruction, no call, no thread-local storage, and the mix of the rest
as it is on record for the compiler in golden/.

To record what this compiler makes now: TURBOMEM_RECORD=1 pytest backends/turbomem_c/tests/test_machine_code.py
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest
from machine_code import FORBIDDEN, Instruction, functions, mix
from native_programs import CXX, NATIVE, WARNINGS, run

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

    @functools.cache  # noqa: B019 - as few as there are compilers
    def code(self, *flags: str) -> dict[str, list[Instruction]]:
        assert self.objdump is not None
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "fast_path.o"
            source = NATIVE / "fast_path.cpp"
            run(self.command, "-std=c++20", "-O2", *WARNINGS, *flags, "-c", source, "-o", out)
            found = functions(out, self.objdump)
        return {name: found[name] for name in NAMES}

    def mixes(self, *flags: str) -> dict[str, dict[str, int]]:
        return {name: mix(body, self.machine) for name, body in self.code(*flags).items()}


@functools.cache
def compiler_of(name: str) -> Compiler:
    command = next((c for c in (name, *(f"{name}-{n}" for n in range(22, 12, -1))) if shutil.which(c)), None)
    if command is None:
        pytest.skip(f"{name} is not installed: apt install {PACKAGES.get(name, 'g++')}")
    return Compiler(command)


@pytest.fixture(params=[CXX, *PACKAGES])
def compiler(request: pytest.FixtureRequest) -> Compiler:
    return compiler_of(request.param)


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


def test_fast_path_is_as_recorded(compiler: Compiler) -> None:
    found = compiler.mixes()
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


# By one compiler for each kind of machine: what finds it is the same.
@pytest.mark.parametrize(
    "compiler", [CXX, pytest.param("clang++", marks=pytest.mark.long), "aarch64-linux-gnu-g++"], indirect=True
)
def test_what_must_not_be_there_is_found(compiler: Compiler) -> None:
    # gcc for Arm would call a function for the atomic increment, which is a fault of the other kind.
    inline = ["-mno-outline-atomics"] if compiler.machine == "aarch64" else []
    found = compiler.mixes("-DPLANTED", *inline)
    for name, kind in {"cache_get_1": "locked", "cache_put_1": "call", "cache_get_32": "thread-local"}.items():
        assert any(re.fullmatch(rf"{name}: \d+ {kind}", fault) for fault in faults(found)), name
    changed = differences(compiler.mixes(), found)
    assert {line.split(":")[0] for line in changed} == {"cache_get_1", "cache_put_1", "cache_get_32", "cache_put_32"}
    assert any(re.match(r"cache_put_32: store \d+ -> ", line) for line in changed)


# gcc took too narrow moves for the one, every compiler may take too wide ones for the other.
@pytest.mark.parametrize(
    ("command", "target"),
    [
        (CXX, ("-march=znver3",)),
        (CXX, ("-march=skylake-avx512", "-mprefer-vector-width=512")),
        pytest.param("clang++", ("-march=znver3",), marks=pytest.mark.long),
        pytest.param("clang++", ("-march=skylake-avx512", "-mprefer-vector-width=512"), marks=pytest.mark.long),
    ],
)
def test_bulks_are_copied_half_a_line_at_a_time(command: str, target: tuple[str, ...]) -> None:
    compiler = compiler_of(command)
    if compiler.machine != "x86_64":
        pytest.skip(f"{command} compiles for {compiler.machine}")
    code = compiler.code("-O3", *target)
    for name in NAMES:
        moves = {found[1] for i in code[name] if (found := re.search(r"^vmov.*%([xyz])mm", i.text))}
        assert "z" not in moves, name
        if name.endswith("_32"):
            assert moves == {"y"}, name


def test_checks_that_are_off_leave_no_trace() -> None:
    compiler = compiler_of(CXX)
    plain = bare(compiler.code())
    assert bare(compiler.code("-DPOLICIES=, turbomem::checking::none")) == plain
    checked = bare(compiler.code("-DPOLICIES=, turbomem::checking::checked<>"))
    assert checked["pool_put_1"] != plain["pool_put_1"]
    assert checked["cache_put_1"] == plain["cache_put_1"]
    hardened = bare(compiler.code("-DPOLICIES=, turbomem::checking::hardened"))
    assert hardened["pool_put_1"] != plain["pool_put_1"]
    assert hardened["pool_get_1"] == plain["pool_get_1"]


def bare(code: dict[str, list[Instruction]]) -> dict[str, list[str]]:
    """Without addresses and the names of what is referred to, which differ between templates."""
    return {name: [re.sub(r" [0-9a-f]+ <.*>$", "", i.text) for i in body] for name, body in code.items()}
