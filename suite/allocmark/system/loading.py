# SPDX-License-Identifier: BSD-3-Clause
"""Where shared libraries lie, and what a process needs to be able to load any of them."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Mapping
from pathlib import Path

# Some allocators keep a thread's cache in static TLS, of which a process has only 512 bytes left once it runs:
# jemalloc needs 2.6 KB, scudo 11 KB.
_STATIC_TLS = f"glibc.rtld.optional_static_tls={1 << 15}"
TLS_REMEDY = "make more room with GLIBC_TUNABLES=glibc.rtld.optional_static_tls=1000000"


def with_tls_room(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` for a process that is to load such libraries. What it sets itself counts."""
    tunables = environ.get("GLIBC_TUNABLES")
    return {**environ, "GLIBC_TUNABLES": ":".join(filter(None, [_STATIC_TLS, tunables]))}


def find_library(soname: str) -> Path | None:
    """The file that the loader takes for ``soname``, or None. Nothing is loaded."""
    given = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    system = [f"{root}/{part}" for root in ("/usr/local/lib", "/lib", "/usr/lib") for part in (multiarch, "")]
    for folder in (*filter(None, given), *system, "/lib64", "/usr/lib64"):
        if (path := Path(folder, soname)).is_file():
            return path
    return None
