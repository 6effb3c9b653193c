# SPDX-License-Identifier: BSD-3-Clause
"""Reading the run that a command names, or the newest one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allocmark.cli.arguments import OK, USAGE, note

if TYPE_CHECKING:
    from allocmark.results.store import Run


RUN = "run file or its folder (default: the newest run in runs/)"


def read(path: str | None) -> tuple[Run, int]:
    """The run, and the exit status: not `OK` when its file is damaged, which is said to whoever waits.

    Without ``path`` it is the newest run, and its name is said.
    """
    from allocmark.results.store import newest_run, read_run

    if path is None:
        path = str(newest_run())
        note(f"the newest run: {path}")
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
