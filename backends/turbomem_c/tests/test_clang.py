# SPDX-License-Identifier: BSD-3-Clause
"""The headers under both compilers and two standards; the programs, the examples and the library by clang."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from native_programs import CXX, HEADERS, NATIVE, PROGRAMS, ROOT, WARNINGS, Build, compiled, compiled_from_c, run

#: what programs may well ask of the headers that they include
STRICT = ["-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Wundef", "-Wnon-virtual-dtor"]
#: programs that need arguments of their own, are only compiled, or only run plain
OTHERS = {"faults", "fast_path", "footprint", "many_pools"}
EXAMPLES = sorted((ROOT / "examples").glob("*.cpp"))


def found(compiler: str) -> str:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed: apt install {compiler.replace('clang++', 'clang')}")
    return compiler


@pytest.fixture(scope="module")
def clang(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return Build("clang", ["-O1", "-g"], tmp_path_factory.mktemp("clang"), found("clang"), found("clang++"))


def test_every_program_is_listed() -> None:
    assert {p.stem for p in NATIVE.glob("*.cpp")} == {*PROGRAMS, *OTHERS}


@pytest.mark.parametrize(
    ("compiler", "standard"),
    [
        ("g++", "-std=c++20"),
        ("clang++", "-std=c++2b"),
        ("clang++-19", "-std=c++2b"),
        pytest.param("g++", "-std=c++2b", marks=pytest.mark.long),
        pytest.param("clang++", "-std=c++20", marks=pytest.mark.long),
        pytest.param("clang++-19", "-std=c++20", marks=pytest.mark.long),
    ],
)
def test_headers_and_what_uses_them_compile_without_a_warning(compiler: str, standard: str) -> None:
    for example in ("containers.cpp", "checks.cpp"):
        run(found(compiler), standard, "-fsyntax-only", *WARNINGS, *STRICT, ROOT / "examples" / example)


def test_headers_do_without_run_time_types() -> None:
    run(CXX, "-std=c++20", "-fno-rtti", "-fsyntax-only", *WARNINGS, ROOT / "examples" / "containers.cpp")


@pytest.mark.long
@pytest.mark.parametrize("name", PROGRAMS)
def test_program_passes(clang: Build, name: str) -> None:
    run(compiled(name, clang), *PROGRAMS[name])


@pytest.mark.long
def test_c_interface_passes(clang: Build) -> None:
    run(compiled_from_c(clang))


@pytest.mark.long
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_example_builds_and_runs(clang: Build, example: Path) -> None:
    program = clang.folder / f"example-{example.stem}"
    run(clang.cxx, "-std=c++20", *WARNINGS, *STRICT, *clang.flags, example, "-o", program)
    run(program)


@pytest.mark.long
def test_headers_stand_alone(clang: Build) -> None:
    source = clang.folder / "alone.cpp"
    for header in HEADERS:
        source.write_text(f'#include "{header}"\n')
        run(clang.cxx, "-std=c++20", "-fsyntax-only", *WARNINGS, source)


@pytest.mark.long
def test_library_builds(clang: Build) -> None:
    library = clang.folder / "libturbomem.so"
    shared = ["-shared", "-fPIC", "-fvisibility=hidden", f"-Wl,--version-script={ROOT / 'src' / 'turbomem.map'}"]
    run(clang.cxx, "-std=c++20", *WARNINGS, *clang.flags, *shared, ROOT / "src" / "turbomem.cpp", "-o", library)
    assert "turbomem_create" in run("nm", "-D", "--defined-only", library)
