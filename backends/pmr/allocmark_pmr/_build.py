# SPDX-License-Identifier: BSD-3-Clause
"""Builds ``allocmark_pmr._native``: a table for each resource."""

import allocmark

ffibuilder = allocmark.cffi_module(
    "allocmark_pmr._native",
    """
    const void *allocmark_pmr_synchronized_table(void);
    const void *allocmark_pmr_unsynchronized_table(void);
    """,
    ["src/pmr.cpp"],
    extra_compile_args=["-std=c++20", "-Wall", "-Wextra", "-Werror"],
)
