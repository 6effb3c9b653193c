# SPDX-License-Identifier: BSD-3-Clause
"""The library on 64-bit Arm: the test programs, compiled for it, run by an emulator of user programs.

What that shows: the code is right where the compiler takes Arm's instructions for atomics, both kinds of them, and
an Arm kernel's interface. What it does not: an emulator on x86 keeps x86's order of memory accesses, which is stricter
than Arm's; that order is argued in the headers and checked by ThreadSanitizer.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from native_programs import PROGRAMS, Build, compiled, compiled_from_c, run

TOOLS = {
    "aarch64-linux-gnu-gcc": "g++-aarch64-linux-gnu",
    "aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu",
    "qemu-aarch64": "qemu-user",
    "prlimit": "util-linux",
}
QUICK = ("unit", "exchange")
#: bytes: an emulator that runs wild is not to take the machine with it
MOST_MEMORY = 8 << 30
#: the one has compare-and-swap as an instruction; the other builds it from exclusive loads and stores
PROCESSORS = ("max", "cortex-a53")


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Build:
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: apt install {package}")
    # Static: the emulator needs no Arm C library of its own to be found.
    flags = ["-O1", "-static", "-DEMULATED"]
    return Build("aarch64", flags, tmp_path_factory.mktemp("aarch64"), "aarch64-linux-gnu-gcc", "aarch64-linux-gnu-g++")


def emulate(program: Path, *arguments: str, processor: str = "max") -> None:
    run("prlimit", f"--as={MOST_MEMORY}", "qemu-aarch64", "-cpu", processor, program, *arguments)


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.long) for n in PROGRAMS])
def test_program_passes(arm: Build, name: str) -> None:
    program = compiled(name, arm)
    for processor in PROCESSORS:
        emulate(program, *PROGRAMS[name], processor=processor)


def test_c_interface_passes(arm: Build) -> None:
    emulate(compiled_from_c(arm))


@pytest.mark.long
@pytest.mark.parametrize("processor", PROCESSORS)
def test_threads_lose_nothing_for_long(arm: Build, processor: str) -> None:
    emulate(compiled("stress", arm), "50000", processor=processor)
    emulate(compiled("preempted", arm), "20", "1000", processor=processor)
