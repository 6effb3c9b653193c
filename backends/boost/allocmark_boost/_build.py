# SPDX-License-Identifier: BSD-3-Clause
"""Builds ``allocmark_boost._native``: a table for each kind of pool."""

import allocmark

ffibuilder = allocmark.cffi_module(
    "allocmark_boost._native",
    """
    const void *allocmark_boost_pool_table(void);
    const void *allocmark_boost_pool_ordered_table(void);
    const void *allocmark_boost_lockfree_stack_table(void);
    const void *allocmark_boost_lockfree_queue_table(void);
    const char *allocmark_boost_version(void);
    """,
    ["src/locked_pool.cpp", "src/lock_free.cpp"],
    extra_compile_args=["-std=c++20", "-pthread", "-mcx16", "-Wall", "-Wextra", "-Werror"],
    extra_link_args=["-pthread"],
)
