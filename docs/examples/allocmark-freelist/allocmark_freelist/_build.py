# SPDX-License-Identifier: BSD-3-Clause
"""Builds ``allocmark_freelist._native``: Python only asks it for the address of the table."""

from pathlib import Path

from cffi import FFI

import allocmark

INCLUDE = Path(allocmark.get_include())
FUNCTIONS = "const void *allocmark_freelist_table(void);"

ffibuilder = FFI()
ffibuilder.cdef(FUNCTIONS)
ffibuilder.set_source(
    "allocmark_freelist._native",
    FUNCTIONS,
    sources=["src/freelist.c"],
    depends=[str(INCLUDE / "allocmark" / "backend.h")],
    include_dirs=[str(INCLUDE)],
    extra_compile_args=[*allocmark.get_compile_args(), "-std=c11", "-pthread", "-Wall", "-Wextra", "-Werror"],
    extra_link_args=["-pthread"],
)
