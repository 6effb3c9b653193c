# SPDX-License-Identifier: BSD-3-Clause
"""Builds `allocmark_turbomem._native`: the library, its table, and the two functions Python calls."""

from pathlib import Path

import allocmark

ffi = allocmark.cffi_module(
    "allocmark_turbomem._native",
    """
    const char *turbomem_version(void);
    const void *allocmark_turbomem_table(const char *kind);
    """,
    # setuptools wants sources relative to setup.py; the compiler runs there too.
    ["src/turbomem.cpp", "src/allocmark_table.cpp"],
    source='#include "turbomem/turbomem.h"\n#include "allocmark_table.hpp"\n',
    include_dirs=["include", "src"],
    depends=sorted(str(header) for folder in ("include", "src") for header in Path(folder).rglob("*.h*")),
    extra_compile_args=["-std=c++20", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"],
)
