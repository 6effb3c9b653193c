# SPDX-License-Identifier: BSD-3-Clause
"""allocmark: which allocator should this workload use, on this machine, and did the last commit make it slower?

Everything public is re-exported here and imported on first use, so that ``allocmark --version`` stays quick.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if sys.platform != "linux":  # pinning, page kinds and huge pages are read from the Linux kernel
    raise ImportError(f"allocmark runs on Linux only, and this is {sys.platform}")

if TYPE_CHECKING:
    from allocmark.backend import Backend, Capabilities, Pages, Unavailable
    from allocmark.errors import AllocmarkError
    from allocmark.hookspecs import hookimpl
    from allocmark.malloc_library import MallocLibrary
    from allocmark.measuring.single import MEASURING_VERSION, UnavailableError, measure, measure_cell
    from allocmark.native_module import NativeModule
    from allocmark.plugin_build import (
        cffi_module,
        get_compile_args,
        get_declarations,
        get_include,
        has_header,
        pkg_config,
    )
    from allocmark.probes import Probe, ProbeContext
    from allocmark.system.loading import find_library
    from allocmark.workload.language.find import find_workload

__version__ = "0.1.0"

_EXPORTS = {
    "backend": ("Backend", "Capabilities", "Pages", "Unavailable"),
    "errors": ("AllocmarkError",),
    "hookspecs": ("hookimpl",),
    "malloc_library": ("MallocLibrary",),
    "measuring.single": ("MEASURING_VERSION", "UnavailableError", "measure", "measure_cell"),
    "native_module": ("NativeModule",),
    "plugin_build": ("cffi_module", "get_compile_args", "get_declarations", "get_include", "has_header", "pkg_config"),
    "probes": ("Probe", "ProbeContext"),
    "system.loading": ("find_library",),
    "workload.language.find": ("find_workload",),
}

__all__ = [
    "MEASURING_VERSION",
    "AllocmarkError",
    "Backend",
    "Capabilities",
    "MallocLibrary",
    "NativeModule",
    "Pages",
    "Probe",
    "ProbeContext",
    "Unavailable",
    "UnavailableError",
    "__version__",
    "cffi_module",
    "find_library",
    "find_workload",
    "get_compile_args",
    "get_declarations",
    "get_include",
    "has_header",
    "hookimpl",
    "measure",
    "measure_cell",
    "pkg_config",
]


def __getattr__(name: str) -> Any:
    for module, names in _EXPORTS.items():
        if name in names:
            return getattr(import_module(f"allocmark.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
