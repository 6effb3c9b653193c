# SPDX-License-Identifier: BSD-3-Clause
"""Everything that people read: `text` for a terminal, `html` for a browser, `export` for other tools."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all: until it is complete, what stood at ``path`` stays. Raises OSError."""
    import tempfile

    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.absolute().parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
