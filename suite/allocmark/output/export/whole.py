# SPDX-License-Identifier: BSD-3-Clause
"""The whole run as one JSON document, raw samples included, as docs/how-are-the-numbers-made.md describes it."""

from __future__ import annotations

import json

from allocmark.results.store import Run
from allocmark.results.summary import document


def render(run: Run, baseline: str | None = None) -> str:
    """The run as strict JSON. Raises UsageError for an unknown baseline."""
    return json.dumps(document(run, baseline), indent=1, allow_nan=False) + "\n"
