# SPDX-License-Identifier: BSD-3-Clause
"""A run in the formats of other tools, as text. What each can hold of it is said in its module.

Where to add a format: a module here with ``render(run, baseline)``, and its name in ``_MODULES``.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING

from allocmark.errors import UsageError

if TYPE_CHECKING:
    from allocmark.results.store import Run

_MODULES = {
    "csv": "spreadsheet",
    "googlebenchmark": "google_benchmark",
    "markdown": "markdown",
    "pyperf": "pyperf_suite",
}

FORMATS = tuple(sorted([*_MODULES, "json"]))


def export(run: Run, form: str, baseline: str | None = None) -> str:
    """The run in the format ``form``, one of `FORMATS`; ``baseline`` as in `allocmark.results.summary.summarise`.

    "json" is the whole run, raw samples included, as strict JSON. What its members mean:
    docs/how-are-the-numbers-made.md.
    Raises UsageError for a format or a baseline that is unknown, and for a run that only verified.
    """
    from allocmark.results.summary import document

    if form not in FORMATS:
        raise UsageError(f"unknown format {form!r}: possible are {', '.join(FORMATS)}")
    if run.header.settings.get("verify"):
        raise UsageError(f"{run.path}: has no timings to export: it was made with `allocmark run --verify`")
    if form == "json":
        return json.dumps(document(run, baseline), indent=1, allow_nan=False) + "\n"
    text: str = import_module(f"allocmark.output.export.{_MODULES[form]}").render(run, baseline)
    return text
