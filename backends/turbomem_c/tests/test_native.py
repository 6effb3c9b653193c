# SPDX-License-Identifier: BSD-3-Clause
"""The C++ and C test programs, plain and under the sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import allocmark

ROOT = Path(__file__).resolve().parents[1]
NATIVE = ROOT / "tests" / "native"
CC = os.environ.get("CC", "gcc")
CXX = os.environ.get("CXX", "g++")
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pthread", f"-I{ROOT / 'include'}"]
BUILDS = {
    "plain": [],
    "thread": ["-fsanitize=thread"],
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
}
#: steps a thread in each shape of the stress program: a second or two in every build
STEPS = {"plain": 200_000, "thread": 5_000, "address": 20_000}

pytestmark = pytest.mark.skipif(shutil.which(CXX) is None, reason=f"{CXX} is not installed: apt install g++")


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module", params=BUILDS)
def build(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str], Path]:
    """Name, compiler flags and folder of a build whose sanitizer this machine has."""
    flags = BUILDS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    probe = folder / "probe.cpp"
    probe.write_text("int main() {}\n")
    if subprocess.run([CXX, *flags, probe, "-o", folder / "probe"], capture_output=True).returncode:
        pytest.skip(f"{CXX} cannot link {' '.join(flags)} here")
    return request.param, flags, folder


def compiled(name: str, build: tuple[str, list[str], Path]) -> Path:
    _, flags, folder = build
    program = folder / name
    run(CXX, "-std=c++20", "-O2", "-g", *WARNINGS, *flags, NATIVE / f"{name}.cpp", "-o", program)
    return program


def test_parts_keep_their_promises(build: tuple[str, list[str], Path]) -> None:
    run(compiled("unit", build))


def test_threads_lose_nothing(build: tuple[str, list[str], Path]) -> None:
    run(compiled("stress", build), str(STEPS[build[0]]))


def test_c_interface_from_c(build: tuple[str, list[str], Path]) -> None:
    _, flags, folder = build
    objects = [folder / "c_interface.o", folder / "turbomem.o"]
    run(CC, "-std=c11", "-pedantic", *WARNINGS, *flags, "-c", NATIVE / "c_interface.c", "-o", objects[0])
    run(CXX, "-std=c++20", *WARNINGS, *flags, "-c", ROOT / "src" / "turbomem.cpp", "-o", objects[1])
    run(CXX, *flags, *objects, "-o", folder / "c_interface")
    run(folder / "c_interface")


@pytest.mark.parametrize("header", sorted((ROOT / "include" / "turbomem").iterdir()), ids=lambda p: p.name)
def test_each_header_stands_alone(header: Path, tmp_path: Path) -> None:
    source = tmp_path / "alone.cpp"
    source.write_text(f'#include "turbomem/{header.name}"\n#include "turbomem/{header.name}"\n')
    run(CXX, "-std=c++20", "-fsyntax-only", *WARNINGS, source)


def test_table_needs_no_look_up_on_the_measured_path(tmp_path: Path) -> None:
    """get_bulk and put_bulk call nothing but their own slow path: no memcpy, no thread-local storage."""
    assembly = tmp_path / "table.s"
    flags = ["-std=c++20", "-O3", "-fvisibility=hidden", "-fPIC", *WARNINGS, f"-I{allocmark.get_include()}"]
    run(CXX, *flags, "-S", ROOT / "src" / "allocmark_table.cpp", "-o", assembly)
    text = assembly.read_text()
    for name, slow in (("8get_bulkEPvS0_PS0_j", "get_slowly"), ("8put_bulkEPvS0_PKS0_j", "put_slowly")):
        label = f"_ZN12_GLOBAL__N_1{'L' if f'_ZN12_GLOBAL__N_1L{name}' in text else ''}{name}"
        body = text.split(f"\n{label}:\n", 1)[1].split(f".size\t{label}", 1)[0]
        assert "%fs:" not in body
        leaves = [line for line in body.splitlines() if "\tcall" in line or ("\tjmp\t_" in line)]
        assert leaves, "the slow path is inlined"
        assert all(slow in line for line in leaves)
