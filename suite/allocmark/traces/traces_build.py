# SPDX-License-Identifier: BSD-3-Clause
"""Builds the room's native part as the extension ``allocmark.traces._traces`` (cffi, API mode)."""

from __future__ import annotations

import re
from pathlib import Path

from cffi import FFI

HERE = Path("suite/allocmark/traces")  # setuptools wants paths relative to the project
NATIVE = HERE / "native"
ENGINE = HERE.parent / "engine"


def declarations() -> str:
    """What Python sees, less what only a C preprocessor understands."""
    text = "\n".join(path.read_text() for path in (ENGINE / "include/allocmark/backend.h", NATIVE / "traces.h"))
    text = re.sub(r'extern "C" \{', "", text)
    text = re.sub(r"#ifdef __cplusplus\n(\}?\s*)#endif", "", text)
    return re.sub(r"^#.*$| ?ALLOCMARK_OPTIONAL\b", "", text, flags=re.MULTILINE)


ffibuilder = FFI()
ffibuilder.cdef(declarations())
ffibuilder.set_source(
    "allocmark.traces._traces",
    '#include "traces.h"',
    source_extension=".cpp",
    sources=[str(path) for path in sorted(NATIVE.glob("*.cpp"))],
    depends=[str(path) for path in sorted([*NATIVE.glob("*.h*"), *ENGINE.glob("native/*.hpp")])],
    include_dirs=[str(NATIVE), str(ENGINE / "native"), str(ENGINE / "include")],
    extra_compile_args=[
        *["-std=c++20", "-O3", "-falign-functions=64", "-fvisibility=hidden", "-pthread"],
        *["-Wall", "-Wextra", "-Werror"],
    ],
    extra_link_args=["-pthread"],
)
