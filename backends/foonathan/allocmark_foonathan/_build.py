# SPDX-License-Identifier: BSD-3-Clause
"""Builds ``allocmark_foonathan._native``: a table for each kind of pool."""

import allocmark

ffibuilder = allocmark.cffi_module(
    "allocmark_foonathan._native",
    """
    const void *allocmark_foonathan_node_table(void);
    const void *allocmark_foonathan_array_table(void);
    const void *allocmark_foonathan_small_node_table(void);
    const char *allocmark_foonathan_version(void);
    """,
    ["src/pools.cpp"],
    extra_compile_args=[
        *("-isystem", "/usr/include/foonathan_memory"),
        *("-std=c++20", "-pthread", "-Wall", "-Wextra", "-Werror"),
    ],
    extra_link_args=["-pthread"],
    libraries=["foonathan_memory"],
)
