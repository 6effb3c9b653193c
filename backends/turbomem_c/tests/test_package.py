# SPDX-License-Identifier: BSD-3-Clause
"""The library as others install it: a CMake package, pkg-config modules, and the examples built on them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from native_programs import CC, CXX, ROOT, run

SAYS = {
    "typed": "order 1, 9999 of 10000 left",
    "packets": "64000 packets",
    "containers": "1000 names, 1000 numbers, 9000 nodes left",
    "size_classes": "64 bytes come from the class of 128, 1518 from that of 1536, 9000 from none",
    "checks": "was put twice",
    "pages": "16777216 bytes: ",
    "nodes": "0 objects got from another node",
    "threads": "4096 of 4096 are back\nthe child got 4096",
    "from_c": "32000 packets",
}


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package is installed, shared library and all, without its examples."""
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed: apt install cmake")
    folder = tmp_path_factory.mktemp("package")
    configure = ["cmake", "-S", ROOT, "-B", folder / "build", "-DTURBOMEM_EXAMPLES=OFF"]
    run(*configure, f"-DCMAKE_INSTALL_PREFIX={folder / 'prefix'}", "-DCMAKE_CXX_FLAGS=-Werror -Wundef")
    run("cmake", "--build", folder / "build")
    run("cmake", "--install", folder / "build")
    return folder / "prefix"


def test_examples_are_all_listed() -> None:
    assert {p.stem for p in (ROOT / "examples").iterdir() if p.suffix in (".c", ".cpp")} == set(SAYS)


@pytest.mark.long
def test_examples_build_on_the_installed_package_and_work(prefix: Path, tmp_path: Path) -> None:
    configure = ["cmake", "-S", ROOT / "examples", "-B", tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}"]
    flags = "-Wall -Wextra -Werror"
    run(*configure, "-DCMAKE_BUILD_TYPE=Debug", f"-DCMAKE_C_FLAGS={flags}", f"-DCMAKE_CXX_FLAGS={flags}")
    subprocess.run(["cmake", "--build", tmp_path], check=True, capture_output=True, timeout=280)
    for name, words in SAYS.items():
        assert words in run(tmp_path / name), name


def test_shared_library_exports_its_interface_and_nothing_else(prefix: Path) -> None:
    (library,) = prefix.rglob("libturbomem.so")
    lines = run("nm", "-D", "--defined-only", library).splitlines()
    exported = set(re.findall(r" [A-Z] (turbomem_\w+)", "\n".join(lines)))
    header = (ROOT / "include" / "turbomem" / "turbomem.h").read_text()
    assert exported == set(re.findall(r"\b(turbomem_\w+)\(", header))
    assert [line for line in lines if "turbomem_" not in line and "TURBOMEM_0" not in line] == []


@pytest.mark.parametrize(
    ("module", "compiler", "standard", "source"),
    [("turbomem", CXX, "-std=c++20", "packets.cpp"), ("turbomem-c", CC, "-std=c11", "from_c.c")],
)
def test_pkg_config_says_what_a_program_needs(
    prefix: Path, tmp_path: Path, module: str, compiler: str, standard: str, source: str
) -> None:
    if shutil.which("pkg-config") is None:
        pytest.skip("pkg-config is not installed: apt install pkg-config")
    (folder,) = prefix.rglob("pkgconfig")
    environment = os.environ | {"PKG_CONFIG_PATH": str(folder)}
    asked = ["pkg-config", "--cflags", "--libs", f"{module} >= 0.1"]
    flags = subprocess.run(asked, check=True, capture_output=True, text=True, env=environment).stdout.split()
    program = tmp_path / "program"
    run(compiler, standard, ROOT / "examples" / source, *flags, f"-Wl,-rpath,{folder.parent}", "-o", program)
    assert SAYS[Path(source).stem] in run(program)


def test_version_that_is_too_new_is_refused(prefix: Path, tmp_path: Path) -> None:
    project = "cmake_minimum_required(VERSION 3.20)\nproject(consumer CXX)\nfind_package(turbomem 0.2 REQUIRED)\n"
    (tmp_path / "CMakeLists.txt").write_text(project)
    configure = ["cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}"]
    done = subprocess.run(configure, capture_output=True, text=True)
    assert done.returncode != 0
    assert 'compatible with requested version "0.2"' in done.stderr


def test_a_project_that_it_is_part_of_stays_as_it_is(tmp_path: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed: apt install cmake")
    (tmp_path / "CMakeLists.txt").write_text(f"""
        cmake_minimum_required(VERSION 3.21)
        project(parent CXX)
        add_subdirectory({ROOT} turbomem)
        file(WRITE ${{CMAKE_BINARY_DIR}}/own.cpp "int own() {{ return 1; }}")
        add_library(own ${{CMAKE_BINARY_DIR}}/own.cpp)
        get_target_property(type own TYPE)
        message(STATUS "${{type}} '${{BUILD_SHARED_LIBS}}' '${{CMAKE_BUILD_TYPE}}'")
    """)
    output = run("cmake", "-S", tmp_path, "-B", tmp_path / "build")
    assert "STATIC_LIBRARY '' ''" in output
    run("cmake", "--install", tmp_path / "build", "--prefix", tmp_path / "prefix")
    assert not (tmp_path / "prefix").exists()
