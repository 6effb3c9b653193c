# SPDX-License-Identifier: BSD-3-Clause
"""Reading the run that a command names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allocmark.cli.arguments import OK, USAGE, note

if TYPE_CHECKING:
    from allocmark.results.store import Run


def read(path: str) -> tuple[Run, int]:
    """The run, and the exit status: not `OK` when its file is cut off, which is said to whoever waits."""
    from allocmark.results.store import read_run

    run = read_run(path)
    if run.torn is None:
        return run, OK
    note(
        f"{run.path}:{run.torn}: cut off here; {len(run.cases)} of {len(run.header.plan)} cases stand before it "
        f"and are used: `allocmark run --resume {run.path.parent}` measures the rest"
    )
    return run, USAGE
