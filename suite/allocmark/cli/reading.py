# SPDX-License-Identifier: BSD-3-Clause
"""Reading the run that a command names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allocmark.cli.arguments import OK, USAGE, note

if TYPE_CHECKING:
    from allocmark.results.store import Run


def read(path: str) -> tuple[Run, int]:
    """The run, and the exit status: not `OK` when its file is damaged, which is said to whoever waits."""
    from allocmark.results.store import read_run

    run = read_run(path)
    if not run.damage:
        return run, OK
    whole = sum(map(run.is_whole, run.cases))
    *first, last = run.notes
    for each in first:
        note(each)
    note(
        f"{last}; {whole} of {len(run.header.plan)} cases are whole, and what can be read is used: "
        f"`allocmark run --resume {run.path.parent}` measures the rest"
    )
    return run, USAGE
