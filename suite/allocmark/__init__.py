# SPDX-License-Identifier: BSD-3-Clause
"""allocmark: which allocator should this workload use, on this machine, and did the last commit make it slower?

Everything public is re-exported here and imported on first use, so that ``allocmark --version`` stays quick.
"""

from __future__ import annotations

import os
import platform
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if sys.platform != "linux":  # pinning, page kinds and huge pages are read from the Linux kernel
    raise ImportError(f"allocmark runs on Linux only, and this is {sys.platform}")

if TYPE_CHECKING:
    from allocmark.backend import Backend, Capabilities, Pages, Unavailable
    from allocmark.errors import AllocmarkError
    from allocmark.hookspecs import hookimpl
    from allocmark.measuring.single import MEASURING_VERSION, UnavailableError, measure, measure_cell
    from allocmark.probes import Probe, ProbeContext
    from allocmark.workload.language.find import find_workload

__version__ = "0.1.0"

_EXPORTS = {
    "MEASURING_VERSION": "allocmark.measuring.single",
    "AllocmarkError": "allocmark.errors",
    "Backend": "allocmark.backend",
    "Capabilities": "allocmark.backend",
    "Pages": "allocmark.backend",
    "Probe": "allocmark.probes",
    "ProbeContext": "allocmark.probes",
    "Unavailable": "allocmark.backend",
    "UnavailableError": "allocmark.measuring.single",
    "find_workload": "allocmark.workload.language.find",
    "hookimpl": "allocmark.hookspecs",
    "measure": "allocmark.measuring.single",
    "measure_cell": "allocmark.measuring.single",
}

__all__ = [
    "MEASURING_VERSION",
    "AllocmarkError",
    "Backend",
    "Capabilities",
    "Pages",
    "Probe",
    "ProbeContext",
    "Unavailable",
    "UnavailableError",
    "__version__",
    "find_workload",
    "get_compile_args",
    "get_include",
    "hookimpl",
    "measure",
    "measure_cell",
]


def get_include() -> str:
    """The folder to give to a C compiler (``-I``) so that ``#include <allocmark/backend.h>`` is found."""
    return str(Path(__file__).parent / "engine" / "include")


def get_compile_args() -> list[str]:
    """Flags for the C and C++ of a backend, the same for all, so that no allocator wins by its compiler's.

    ``-O3``; functions that begin at a cache line, because where they happen to begin is worth a tenth at bulk 1, and
    any edit moves them; and on x86-64 ``-march=native``, or the processor that ``ALLOCMARK_MARCH`` names, because how
    wide a move may be decides what a large bulk costs.
    """
    machine = [f"-march={os.environ.get('ALLOCMARK_MARCH', 'native')}"] if platform.machine() == "x86_64" else []
    return ["-O3", "-falign-functions=64", *machine]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
