# SPDX-License-Identifier: BSD-3-Clause
"""Builds ``allocmark_glibc._native``. Python sees two functions; the engine calls the table directly."""

from pathlib import Path

from cffi import FFI

import allocmark

INCLUDE = Path(allocmark.get_include())

FUNCTIONS = """
    const void *allocmark_glibc_table(void);
    const char *allocmark_glibc_version(void);
"""

ffibuilder = FFI()
ffibuilder.cdef(FUNCTIONS)
ffibuilder.set_source(
    "allocmark_glibc._native",
    FUNCTIONS,
    sources=["src/glibc_table.c"],
    depends=[str(INCLUDE / "allocmark" / "backend.h")],
    include_dirs=[str(INCLUDE)],
    extra_compile_args=[*allocmark.get_compile_args(), "-std=gnu11", "-Wall", "-Wextra", "-Werror"],
    libraries=["dl"],  # dlopen lives there before glibc 2.34
)
