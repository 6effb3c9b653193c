# SPDX-License-Identifier: BSD-3-Clause
"""Builds the native engine as the extension ``allocmark.engine._engine`` (cffi, API mode)."""

from __future__ import annotations

import re
from pathlib import Path

from cffi import FFI

HERE = Path("suite/allocmark/engine")  # setuptools wants paths relative to the project
NATIVE = HERE / "native"


def declarations() -> str:
    """What Python sees: the engine's own headers, less what only a C preprocessor understands."""
    own = [NATIVE / name for name in ("tape.h", "engine.h", "audit.h")]
    text = "\n".join(path.read_text() for path in (HERE / "include/allocmark/backend.h", *own))
    text = re.sub(r'extern "C" \{', "", text)
    text = re.sub(r"#ifdef __cplusplus\n(\}?\s*)#endif", "", text)
    return re.sub(r"^#.*$| ?ALLOCMARK_OPTIONAL\b", "", text, flags=re.MULTILINE)


ffibuilder = FFI()
ffibuilder.cdef(declarations())
ffibuilder.set_source(
    "allocmark.engine._engine",
    '#include "engine.h"\n#include "audit.h"',
    source_extension=".cpp",
    sources=[str(path) for path in sorted(NATIVE.glob("*.cpp"))],
    depends=[str(path) for path in sorted([*NATIVE.glob("*.h*"), *HERE.glob("include/allocmark/*.h")])],
    include_dirs=[str(NATIVE), str(HERE / "include")],
    # Functions begin at a cache line, as in backends: else any edit moves them, and where they happen to begin
    # can nearly double the time that touching an object takes.
    extra_compile_args=[
        *["-std=c++20", "-O3", "-falign-functions=64", "-fvisibility=hidden", "-pthread"],
        *["-Wall", "-Wextra", "-Werror"],
    ],
    extra_link_args=["-pthread"],
)
