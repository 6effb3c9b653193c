# SPDX-License-Identifier: BSD-3-Clause
"""Builds ``allocmark_ck._native``: a table for each free list. All of them are in headers: no library is linked."""

import allocmark

ffibuilder = allocmark.cffi_module(
    "allocmark_ck._native",
    """
    const void *allocmark_ck_stack_mpmc_table(void);
    const void *allocmark_ck_stack_spinlock_table(void);
    const void *allocmark_ck_stack_alone_table(void);
    const void *allocmark_ck_ring_mpmc_table(void);
    const char *allocmark_ck_version(void);
    """,
    ["src/ck_pools.c"],
    extra_compile_args=["-std=gnu11", "-Wall", "-Wextra", "-Werror"],
)
