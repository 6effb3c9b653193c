# SPDX-License-Identifier: BSD-3-Clause
"""Builds `allocmark_turbomem._native`: the library, its table, and the two functions Python calls."""

from __future__ import annotations

from pathlib import Path

from cffi import FFI

import allocmark

_ROOT = Path(__file__).resolve().parents[1]

ffi = FFI()
ffi.cdef(
    """
    const char *turbomem_version(void);
    const void *allocmark_turbomem_table(const char *kind);
    """
)
ffi.set_source(
    "allocmark_turbomem._native",
    """
    #include "turbomem/turbomem.h"
    #include "allocmark_table.hpp"
    """,
    source_extension=".cpp",
    # setuptools wants sources relative to setup.py; the compiler runs there too.
    sources=["src/turbomem.cpp", "src/allocmark_table.cpp"],
    include_dirs=["include", "src", allocmark.get_include()],
    depends=sorted(str(p.relative_to(_ROOT)) for folder in ("include", "src") for p in (_ROOT / folder).rglob("*.h*")),
    extra_compile_args=[
        *allocmark.get_compile_args(),
        *["-std=c++20", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"],
    ],
)
