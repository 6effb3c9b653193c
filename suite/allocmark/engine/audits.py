# SPDX-License-Identifier: BSD-3-Clause
"""Direct checks of a backend's table, without a workload: one to a process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from allocmark.engine._engine import ffi, lib
from allocmark.errors import EngineError, RefusedError


@dataclass(frozen=True)
class Audit:
    """Which ``check`` is made (see ``am_audit_run``), on what, and for how long rare faults are looked for."""

    check: str
    threads: int  #: most that use a pool at once
    any_size: bool
    thread_safe: bool
    cross_thread: bool
    least_ns: int
    least_calls: int

    def run(self, table: int, options: Mapping[str, str]) -> int:
        """The gets and puts that were checked. EngineError says what is wrong, RefusedError what is not served; after
        either this process must end."""
        keep = [ffi.new("char[]", os.fsencode(text)) for text in (self.check, *options.keys(), *options.values())]
        names, values = keep[1 : 1 + len(options)], keep[1 + len(options) :]
        asked = ffi.new(
            "am_audit *",
            vars(self)
            | {
                "check": keep[0],
                "table": ffi.cast("void *", table),
                "options": (own := ffi.new("allocmark_option[]", list(zip(names, values, strict=True)))),
                "n_options": len(own),
            },
        )
        calls, found = ffi.new("uint64_t *"), ffi.new("allocmark_error *")
        verdict = lib.am_audit_run(asked, calls, found)
        if verdict != lib.AM_SOUND:
            error = RefusedError if verdict == lib.AM_NOT_SERVED else EngineError
            raise error(ffi.string(found.message).decode(errors="replace"))
        return int(calls[0])
