# SPDX-License-Identifier: BSD-3-Clause
"""Builds ``allocmark_dpdk._native`` against the DPDK that pkg-config finds; `allocmark_dpdk.native` loads it."""

import shlex
from pathlib import Path

import allocmark

SOURCES = Path("src")  # setuptools wants paths relative to the project


def dpdk(what: str) -> list[str]:
    """The flags of libdpdk. They hold more than folders: DPDK's headers need its -march and -include."""
    return shlex.split(allocmark.pkg_config(what, "libdpdk") or "")


ffibuilder = allocmark.cffi_module(
    "allocmark_dpdk._native",
    "const char *allocmark_dpdk_version(void);",
    sorted(map(str, SOURCES.glob("*.c"))),
    depends=sorted(map(str, SOURCES.glob("*.h"))),
    extra_compile_args=[*dpdk("--cflags"), "-std=gnu11", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"],
    # pkg-config names every library of DPDK: only those that are used become dependencies.
    extra_link_args=["-Wl,--as-needed", *dpdk("--libs")],
)
