# SPDX-License-Identifier: BSD-3-Clause
"""The native part of this backend, built against one DPDK: loading it loads that DPDK, and starts nothing of it."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

#: What objects may be, by the function that hands out their table: ``allocmark_dpdk_NAME_table``.
TABLES = ("mempool", "mbuf", "heap")
#: The libraries of DPDK whose functions are measured.
LIBRARIES = ("mempool", "eal")


class Native:
    """Raises OSError where it, or DPDK, cannot be loaded."""

    def __init__(self, file: str | Path) -> None:
        self._module = ctypes.CDLL(str(file), mode=os.RTLD_NOW)

    def table(self, name: str) -> int:
        """The address of one of `TABLES`."""
        function = getattr(self._module, f"allocmark_dpdk_{name}_table")
        function.restype = ctypes.c_void_p
        return int(function())

    @property
    def version(self) -> str:
        """That of the DPDK that is loaded."""
        return self._text("version").removeprefix("DPDK ")

    def file(self, library: str) -> str:
        """Where one of `LIBRARIES` was loaded from."""
        return self._text(f"{library}_file")

    def _text(self, name: str) -> str:
        function = getattr(self._module, f"allocmark_dpdk_{name}")
        function.restype = ctypes.c_char_p
        return str(function().decode())
