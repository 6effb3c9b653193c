# SPDX-License-Identifier: BSD-3-Clause
"""Builds ``allocmark_dpdk._native``. Python sees two functions; the engine calls the table directly."""

import os
import shlex
import subprocess
from pathlib import Path

from cffi import FFI

import allocmark

INCLUDE = Path(allocmark.get_include())
SOURCES = Path("src")  # setuptools wants paths relative to the project

FUNCTIONS = """
    const void *allocmark_dpdk_table(void);
    const char *allocmark_dpdk_version(void);
"""


def pkg_config(what: str) -> list[str]:
    """The flags of libdpdk. They hold more than folders: DPDK's headers need its -march and -include."""
    command = [os.environ.get("PKG_CONFIG", "pkg-config"), what, "libdpdk"]
    return shlex.split(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


ffibuilder = FFI()
ffibuilder.cdef(FUNCTIONS)
ffibuilder.set_source(
    "allocmark_dpdk._native",
    FUNCTIONS,
    sources=sorted(map(str, SOURCES.glob("*.c"))),
    depends=[*sorted(map(str, SOURCES.glob("*.h"))), str(INCLUDE / "allocmark" / "backend.h")],
    include_dirs=[str(INCLUDE)],
    extra_compile_args=[
        *pkg_config("--cflags"),
        *allocmark.get_compile_args(),  # of two -march the last counts: native, as DPDK's own build is by default
        *["-std=gnu11", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"],
    ],
    # pkg-config names every library of DPDK: only those that are used become dependencies.
    extra_link_args=["-Wl,--as-needed", *pkg_config("--libs")],
)
