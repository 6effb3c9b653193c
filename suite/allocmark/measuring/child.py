# SPDX-License-Identifier: BSD-3-Clause
"""What the processes that `CellProcess` starts have in common: they end with their parent, and talk to it in JSON."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from allocmark import plugins
from allocmark.backend import Backend
from allocmark.engine import end_with_parent
from allocmark.errors import AllocmarkError


def begin_child() -> None:
    """End with the parent, whose number is the last argument; and when memory runs out, before it."""
    end_with_parent(int(sys.argv[-1]))
    with suppress(OSError):  # when memory runs out, the kernel should end this process and not the run
        Path("/proc/self/oom_score_adj").write_text("1000")


def find_backend(host: plugins.Host, label: str) -> Backend:
    """The variant that this process is for."""
    for registered in host.backends:
        if registered.backend.label == label:
            return registered.backend
    cause = "; ".join(broken.cause for broken in host.broken)
    raise AllocmarkError(f"{label} is gone in the process of its cell{': ' if cause else ''}{cause}")


def reply(replies: TextIO, **values: Any) -> None:
    """One line to the parent; "error" makes it the last one."""
    replies.write(json.dumps(values, allow_nan=False) + "\n")
    replies.flush()
