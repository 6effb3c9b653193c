# SPDX-License-Identifier: BSD-3-Clause
"""How test programs are compiled and run: plain, and under the sanitizers."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
NATIVE = ROOT / "tests" / "native"
#: as programs include them
HEADERS = sorted(str(h.relative_to(ROOT / "include")) for h in (ROOT / "include").rglob("*.h*"))
CC = os.environ.get("CC", "gcc")
CXX = os.environ.get("CXX", "g++")
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pthread", f"-I{ROOT / 'include'}"]
#: the programs of native/, with arguments that make each the work of a moment
PROGRAMS = {
    "unit": (), "exchange": (), "schedules": ("1",), "stress": ("2000",), "preempted": ("4", "500"),
    "per_cpu": ("500",), "numa": ("500",), "memory": (), "pool": (), "adapters": (), "checks": (), "forks": (),
}  # fmt: skip
#: the quick builds' sanitizers, where they are installed: clang compiles them in half the time
CLANG = ("clang", "clang++")
#: with line numbers for reports, and no more: all of -g takes half as long again
BUILDS = {
    "plain": ["-O2", "-g1"],
    "thread": ["-O1", "-g1", "-fsanitize=thread"],
    "address": ["-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
}


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def registered() -> bool:
    """Whether the C library has registered this process for restartable sequences, and so will its children."""
    try:
        return ctypes.c_uint.in_dll(ctypes.CDLL(None), "__rseq_size").value != 0
    except ValueError:
        return False


class Build(NamedTuple):
    """A way to compile, and the folder that takes what is compiled."""

    name: str
    flags: list[str]
    folder: Path
    cc: str = CC
    cxx: str = CXX
    moment: str = "-O0"  #: for programs that run for a moment: optimising them takes longer than it saves

    @classmethod
    def of(cls, name: str, folder: Path) -> Build:
        """The quick build of that name: not optimised under a sanitizer, and by the compiler that is quicker at it."""
        if name == "plain":
            return cls.thorough(name, folder)._replace(moment="-O0")
        flags = [*BUILDS[name], "-O0"]
        if links(CLANG[1], flags, folder):
            return cls(name, flags, folder, *CLANG)
        return cls.thorough(name, folder)._replace(flags=flags)

    @classmethod
    def thorough(cls, name: str, folder: Path) -> Build:
        """By CXX, optimised; skips the test where this machine's compiler lacks the sanitizer."""
        if shutil.which(CXX) is None:
            pytest.skip(f"{CXX} is not installed: apt install g++")
        flags = BUILDS[name]
        if not links(CXX, flags, folder):
            pytest.skip(f"{CXX} cannot link {' '.join(flags)} here")
        return cls(name, flags, folder, moment="-O2" if name == "plain" else "-O0")


def links(cxx: str, flags: list[str], folder: Path) -> bool:
    """Whether the compiler is here, and can make a program with these flags."""
    probe = folder / "probe.cpp"
    probe.write_text("int main() {}\n")
    command = [cxx, *flags, probe, "-o", folder / "probe"]
    return shutil.which(cxx) is not None and subprocess.run(command, capture_output=True).returncode == 0


def compiled(name: str, build: Build, *, quick: bool = False) -> Path:
    """tests/native/NAME.cpp as a program; `quick`: one that runs for a moment."""
    program = build.folder / name
    more = [build.moment] if quick else []
    run(build.cxx, "-std=c++20", *WARNINGS, *build.flags, *more, NATIVE / f"{name}.cpp", "-o", program)
    return program


def compiled_from_c(build: Build) -> Path:
    """native/c_interface.c, by a C compiler, on the library."""
    objects, program = [build.folder / "c_interface.o", build.folder / "turbomem.o"], build.folder / "c_interface"
    flags = [*WARNINGS, *build.flags, "-O0", *(["-DSANITIZED"] if build.name == "address" else [])]
    run(build.cc, "-std=c11", "-pedantic", *flags, "-c", NATIVE / "c_interface.c", "-o", objects[0])
    run(build.cxx, "-std=c++20", *flags, "-c", ROOT / "src" / "turbomem.cpp", "-o", objects[1])
    run(build.cxx, *flags, *objects, "-o", program)
    return program


def assembly(source: Path | str, folder: Path, *flags: str) -> dict[str, str]:
    """By symbol, the body of each function that the compiler makes of a file, or of a text."""
    if isinstance(source, str):
        text, source = source, folder / "source.cpp"
        source.write_text(text)
    out = folder / "assembly.s"
    run(CXX, "-std=c++20", "-O2", *WARNINGS, *flags, "-S", source, "-o", out)
    return dict(re.findall(r"^(\w+):\n(.*?)^\t\.size\t\1,", out.read_text(), re.M | re.S))
