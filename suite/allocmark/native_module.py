# SPDX-License-Identifier: BSD-3-Clause
"""The native module of a plugin, which is only there where the library that it measures was there at build time."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from allocmark.backend import Unavailable


class NativeModule:
    """A module that `cffi_module` built, or the reason why it is not there: then there are no tables.

    ``missing`` is that reason, and what would change it, where the distribution was built without its native module.
    """

    def __init__(self, name: str, missing: Unavailable) -> None:
        self._module: Any = None
        self.unavailable: Unavailable | None = None
        try:
            self._module = import_module(name)
        except ModuleNotFoundError:
            self.unavailable = missing
        except ImportError as error:
            self.unavailable = Unavailable(f"{name} does not load: {error}", missing.fix)

    def table(self, name: str) -> int | None:
        """The address that ``allocmark_NAME_table()`` returns."""
        if self._module is None:
            return None
        found = getattr(self._module.lib, f"allocmark_{name}_table")()
        return int(self._module.ffi.cast("uintptr_t", found))

    def text(self, function: str) -> str:
        """What a function without arguments returns; "" where it is not there."""
        if self._module is None:
            return ""
        return str(self._module.ffi.string(getattr(self._module.lib, function)()).decode())
