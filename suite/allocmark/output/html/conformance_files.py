# SPDX-License-Identifier: BSD-3-Clause
"""Files of what ``allocmark conform NAME --json`` printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from allocmark.errors import UsageError


def read_verdicts(file: Path) -> list[dict[str, Any]]:
    """The rows of a file: a mapping a case with ``backend``, ``version``, ``case``, ``verdict``, ``why``.

    Raises UsageError, with the file and what to do, when it cannot be read or is something else.
    """
    wanted = "give what `allocmark conform NAME --json` printed"
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not JSON"
        raise UsageError(f"{file}: {why}: {wanted}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "verdict" in row for row in rows):
        raise UsageError(f"{file}: no verdicts in it: {wanted}")
    return rows
