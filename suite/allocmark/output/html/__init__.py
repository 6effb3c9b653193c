# SPDX-License-Identifier: BSD-3-Clause
"""Pages that people look at: one run as one file, and several runs with their history as a site.

Data flows one way: a run file is summarised (`allocmark.results.summary`), turned into what pages show (`view`), into
tables and charts (`cost`, `latency`, `memory` and others), and written through templates (`pages`). No page asks
another host for anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from allocmark.asv.history import History
    from allocmark.results.store import Run

__all__ = ["build_site", "write_report"]


def write_report(
    run: Run,
    path: Path,
    *,
    before: Run | None = None,
    baseline: str | None = None,
    conformance: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write one self-contained HTML file about a run: it opens from disk and makes no request.

    ``before`` is an earlier run to compare with, ``baseline`` as in `allocmark.results.summary.summarise`,
    ``conformance`` what ``allocmark conform NAME --json`` printed. The file is replaced at once or not at all.

    Raises UsageError for a run without timings (``--verify``) and for an unknown baseline, AssetError when the
    plotting scripts have not been fetched, OSError when the file cannot be written.
    """
    from allocmark.output.html.site_pages import report

    report(run, path, before=before, baseline=baseline, conformance=conformance)


def build_site(
    runs: Sequence[Run],
    output: Path,
    *,
    history: Sequence[History] = (),
    baseline: str | None = None,
    conformance: Sequence[Mapping[str, Any]] = (),
    asv: str | None = None,
    notes: Sequence[str] = (),
) -> list[Path]:
    """Write our pages into the folder ``output`` and return their paths; every link is relative.

    The newest run makes the overview and the pages of workloads and backends, every older one a page of its own.
    Either of ``runs`` and ``history`` may be empty. ``asv`` is the path of asv's own page from the root of the site,
    ``notes`` are lines about what was left out, shown on the overview.

    Raises AssetError and OSError as `write_report` does.
    """
    from allocmark.output.html.site_pages import site

    return site(runs, output, history=history, baseline=baseline, conformance=conformance, asv=asv, notes=notes)
