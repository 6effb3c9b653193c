# SPDX-License-Identifier: BSD-3-Clause
"""A run in the formats of other tools, as text. What each can hold of it is said in its module."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from allocmark.errors import UsageError

if TYPE_CHECKING:
    from allocmark.results.store import Run

__all__ = ["FORMATS", "export"]

#: The formats, and the modules that write them.
FORMATS = {
    "csv": "spreadsheet",
    "googlebenchmark": "google_benchmark",
    "json": "whole",
    "markdown": "markdown",
    "pyperf": "pyperf_suite",
}


def export(run: Run, form: str, baseline: str | None = None) -> str:
    """The run in the format ``form``, a key of `FORMATS`; ``baseline`` as in `allocmark.results.summary.summarise`.

    Raises UsageError for a format or a baseline that is unknown, and for a run that only verified.
    """
    if form not in FORMATS:
        raise UsageError(f"unknown format {form!r}: possible are {', '.join(FORMATS)}")
    if run.header.settings.get("verify"):
        raise UsageError(f"{run.path}: has no timings to export, it only verified (run --verify)")
    text: str = import_module(f"allocmark.output.export.{FORMATS[form]}").render(run, baseline)
    return text
