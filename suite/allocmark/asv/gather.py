# SPDX-License-Identifier: BSD-3-Clause
"""Collects what a site shows: runs, history and acceptance results, with a note for each thing left out."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allocmark.asv.history import History, commits_of, histories
from allocmark.asv.stored_results import read_results
from allocmark.errors import AllocmarkError, RunFileError, UsageError
from allocmark.output.html import read_verdicts
from allocmark.results.store import FILE_NAME, Run, read_run

# Where things are looked for, unless asv.conf.json says otherwise.
RUNS = ("runs/*",)
CONFORMANCE = ("conformance/*.json",)
MOST_RUNS = 20  #: a site shows the newest ones


@dataclass(frozen=True)
class Contents:
    """What goes into a site; ``notes`` say what was left out, and why."""

    runs: tuple[Run, ...] = ()
    history: tuple[History, ...] = ()
    notes: tuple[str, ...] = ()
    conformance: tuple[Mapping[str, Any], ...] = ()

    def __add__(self, other: Contents) -> Contents:
        return Contents(
            *(ours + theirs for ours, theirs in zip(vars(self).values(), vars(other).values(), strict=True))
        )


def runs(patterns: Sequence[str]) -> Contents:
    """The newest `MOST_RUNS` runs among the folders that match, without those that only verified."""
    found: list[Run] = []
    notes: list[str] = []
    for path in _matching(patterns):
        if Path(path).is_dir() and not Path(path, FILE_NAME).exists():
            continue
        try:
            run = read_run(path)
        except RunFileError as error:
            notes.append(f"{error}: left out")
            continue
        notes += [f"{each}: left out" for each in run.notes]
        if run.cases and not run.header.settings.get("verify"):
            found.append(run)
    found.sort(key=lambda run: run.header.created, reverse=True)
    if len(found) > MOST_RUNS:
        notes.append(f"{len(found) - MOST_RUNS} older runs are left out: `allocmark publish RUN ...` chooses runs")
    return Contents(runs=tuple(found[:MOST_RUNS]), notes=tuple(notes))


def conformance(patterns: Sequence[str]) -> Contents:
    """The results of the acceptance kit in the files that match; see `read_verdicts`."""
    rows: list[Mapping[str, Any]] = []
    notes: list[str] = []
    for path in _matching(patterns):
        try:
            rows += read_verdicts(Path(path))
        except UsageError as error:
            notes.append(f"{error}: left out")
    return Contents(notes=tuple(notes), conformance=tuple(rows))


def _matching(patterns: Sequence[str]) -> list[str]:
    return sorted({path for pattern in patterns for path in glob.glob(pattern)})


def history(results: Path, repository: Path, branches: Sequence[str], show_url: str | None) -> Contents:
    """The histories in asv's folder ``results`` along ``branches`` of ``repository``; see `commits_of`."""
    read = read_results(results)
    notes = list(read.notes)
    try:
        commits = commits_of(repository, branches, show_url)
    except AllocmarkError as error:
        return Contents(notes=(*notes, f"{error}: the history is left out"))
    shown = histories(read, commits)
    notes += [note for each in shown for note in each.notes]
    return Contents(history=tuple(each for each in shown if each.series), notes=tuple(notes))
