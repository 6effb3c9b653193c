# SPDX-License-Identifier: BSD-3-Clause
"""What the build script of a backend needs: include folder, compiler flags, and the module that Python loads."""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_CPP = (".cpp", ".cc", ".cxx")  #: what names of C++ sources end with


def get_include() -> str:
    """The folder to give to a C compiler (``-I``) so that ``#include <allocmark/backend.h>`` is found."""
    return str(Path(__file__).parent / "engine" / "include")


def get_compile_args() -> list[str]:
    """Flags for the C and C++ of a backend, the same for all, so that no allocator wins by its compiler's.

    ``-O3``. Functions begin at a cache line: where they happen to begin is worth a tenth at bulk 1, and any edit moves
    them. On x86-64 ``-march=native``, or the processor that the variable ``ALLOCMARK_MARCH`` names: how many bytes one
    instruction may move decides what a large bulk costs. A table may leave out members that are optional, and what a
    later ``backend.h`` has added.
    """
    machine = [f"-march={os.environ.get('ALLOCMARK_MARCH', 'native')}"] if platform.machine() == "x86_64" else []
    return ["-O3", "-falign-functions=64", *machine, "-Wno-missing-field-initializers"]


def get_declarations() -> str:
    """The types of ``allocmark/backend.h`` in the form that cffi's ``cdef`` reads."""
    text = Path(get_include(), "allocmark", "backend.h").read_text()
    text = re.sub(r"#ifdef __cplusplus\n.*?#endif", "", text, flags=re.DOTALL)
    return re.sub(r"^#.*$| ?ALLOCMARK_OPTIONAL\b", "", text, flags=re.MULTILINE)


def cffi_module(
    name: str,
    functions: str,
    sources: Iterable[str],
    *,
    include_dirs: Sequence[str] = (),
    depends: Sequence[str] = (),
    extra_compile_args: Sequence[str] = (),
    source: str = "",
    **more: Any,
) -> Any:
    """The ``FFI`` for ``cffi_modules`` in setup.py: builds a module from C sources, named relative to setup.py.

    ``name`` is "PACKAGE.MODULE"; ``functions`` are the C declarations of what Python calls, such as the one that
    returns the address of the table. Include folder, headers and flags of allocmark are added behind those given here.
    ``source`` is the C code that declares the functions, if their declarations alone do not do. The module is in C++
    when one of the sources is, so that one set of flags does for all; the functions have the linkage of C. ``more``
    goes to ``FFI.set_source``.
    """
    from cffi import FFI

    sources = list(sources)
    if any(Path(each).suffix in _CPP for each in sources):
        more = {"source_extension": ".cpp", **more}
        source = source or f'extern "C" {{\n{functions}\n}}'
    ffi = FFI()
    ffi.cdef(functions)
    ffi.set_source(
        name,
        source or functions,
        sources=sources,
        include_dirs=[*include_dirs, get_include()],
        depends=[*depends, *sorted(map(str, Path(get_include(), "allocmark").glob("*.h*")))],
        extra_compile_args=[*extra_compile_args, *get_compile_args()],  # the last of two -march counts
        **more,
    )
    return ffi


def has_header(name: str) -> bool:
    """Whether the C compiler (``CC``) finds ``#include <name>``: is the library there that a backend measures?"""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    command = [*compiler, "-E", "-x", "c", "-"]
    # The file itself is not read: in C, a header of C++ may refuse.
    question = f"#if !__has_include(<{name}>)\n#error\n#endif\n"
    try:
        subprocess.run(command, input=question, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def pkg_config(*arguments: str, folder: Path | None = None) -> str | None:
    """What ``pkg-config`` prints, or None where it does not exist or fails: it knows no such library.

    ``folder`` is looked in before all others. The environment variable ``PKG_CONFIG`` names another program.
    """
    command = [os.environ.get("PKG_CONFIG", "pkg-config"), *arguments]
    first = [str(folder)] if folder else []
    path = os.pathsep.join([*first, *filter(None, [os.environ.get("PKG_CONFIG_PATH")])])
    try:
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env={**os.environ, "PKG_CONFIG_PATH": path}
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
