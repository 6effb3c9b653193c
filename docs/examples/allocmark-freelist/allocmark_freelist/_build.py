# SPDX-License-Identifier: BSD-3-Clause
"""Builds ``allocmark_freelist._native``: Python only asks it for the address of the table."""

import allocmark

ffibuilder = allocmark.cffi_module(
    "allocmark_freelist._native",
    "const void *allocmark_freelist_table(void);",
    ["src/freelist.c"],
    extra_compile_args=["-std=gnu11", "-pthread", "-Wall", "-Wextra", "-Werror"],
    extra_link_args=["-pthread"],
)
