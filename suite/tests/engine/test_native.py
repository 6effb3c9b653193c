# SPDX-License-Identifier: BSD-3-Clause
"""The engine without Python: its parts, its queues and a whole engine, plain and under the sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import allocmark
from allocmark import engine

TESTS = Path(__file__).parent / "native"
NATIVE = Path(engine.__file__).parent / "native"
CXX = os.environ.get("CXX", "g++")
FLAGS = ["-std=c++20", "-g1", "-Wall", "-Wextra", "-Werror", "-pthread", f"-I{NATIVE}", f"-I{allocmark.get_include()}"]
BUILDS = {
    "plain": ["-O2"],
    # Not optimised: with all these checks, that takes longer than it saves.
    "address": ["-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "thread": ["-O1", "-fsanitize=thread"],
}
QUEUE_ROUNDS = {"plain": 10, "thread": 1, "address": 4}
PROGRAMS = ("parts", "layout", "queue", "replay", "whole_engine")
ONE_THREAD = ("layout", "replay")  #: start none: ThreadSanitizer has nothing to find in them
#: what the programs call nothing of: compiling it under sanitizers would show nothing
OTHERS = ("audit.", "audit_", "rush", "interrupted", "guard.", "called_files", "twin", "malloc_backend")
#: have functions of the same names; the others are compiled together, which reads the headers but once
SAME_NAMES = "_backend"

pytestmark = pytest.mark.skipif(shutil.which(CXX) is None, reason=f"{CXX} is not installed: apt install g++")


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stderr


@pytest.fixture(scope="module", params=BUILDS)
def build(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Name and folder of a build: each program linked with the engine's own sources."""
    flags = [*FLAGS, *BUILDS[request.param]]
    folder = tmp_path_factory.mktemp(request.param)
    probe = folder / "probe.cpp"
    probe.write_text("int main() {}\n")
    if subprocess.run([CXX, *flags, probe, "-o", folder / "probe"], capture_output=True).returncode:
        pytest.skip(f"{CXX} cannot link {' '.join(flags)} here")

    def compiled(source: Path) -> Path:
        target = folder / f"{source.stem}.o"
        run(CXX, *flags, "-c", source, "-o", target)
        return target

    programs = [name for name in PROGRAMS if request.param != "thread" or name not in ONE_THREAD]
    tests = [TESTS / f"{name}.cpp" for name in programs]
    called = [each for each in sorted(NATIVE.glob("*.cpp")) if not each.name.startswith(OTHERS)]
    apart = [each for each in called if each.stem.endswith(SAME_NAMES)]
    together = folder / "together.cpp"
    together.write_text("".join(f'#include "{each}"\n' for each in called if each not in apart))
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        objects = list(pool.map(compiled, [*tests, together, *apart]))
    for name, main in zip(programs, objects, strict=False):
        run(CXX, *flags, main, *objects[len(tests) :], "-o", folder / name)
    return request.param, folder


#: the builds of a program of `ONE_THREAD`
of_one_thread = pytest.mark.parametrize("build", [name for name in BUILDS if name != "thread"], indirect=True)


def test_parts(build: tuple[str, Path]) -> None:
    run(build[1] / "parts")


@of_one_thread
def test_layout(build: tuple[str, Path]) -> None:
    run(build[1] / "layout")


def test_queues_lose_nothing(build: tuple[str, Path]) -> None:
    run(build[1] / "queue", str(QUEUE_ROUNDS[build[0]]))


@of_one_thread
def test_replay(build: tuple[str, Path]) -> None:
    run(build[1] / "replay")


def test_whole_engine(build: tuple[str, Path]) -> None:
    run(build[1] / "whole_engine")
