# SPDX-License-Identifier: BSD-3-Clause
"""Where a table is shown."""

from __future__ import annotations

import sys


def columns() -> int | None:
    """Of the terminal; None for a pipe or a file, which have as many as a table needs."""
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
