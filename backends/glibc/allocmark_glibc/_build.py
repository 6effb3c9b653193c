# SPDX-License-Identifier: BSD-3-Clause
"""Builds ``allocmark_glibc._native``. Python sees two functions; the engine calls the table directly."""

import allocmark

ffibuilder = allocmark.cffi_module(
    "allocmark_glibc._native",
    """
    const void *allocmark_glibc_table(void);
    const char *allocmark_glibc_version(void);
    """,
    ["src/glibc_table.c"],
    extra_compile_args=["-std=gnu11", "-Wall", "-Wextra", "-Werror"],
    libraries=["dl"],  # dlopen lives there before glibc 2.34
)
