# SPDX-License-Identifier: BSD-3-Clause
"""Builds ``allocmark_tbb._native``: the table of memory pools. ``scalable_malloc`` needs none."""

import allocmark

ffibuilder = allocmark.cffi_module(
    "allocmark_tbb._native",
    "const void *allocmark_tbb_fixed_pool_table(void);",
    ["src/fixed_pool.cpp"],
    extra_compile_args=["-std=c++20", "-Wall", "-Wextra", "-Werror"],
    libraries=["tbbmalloc"],
)
