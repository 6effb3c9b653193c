# SPDX-License-Identifier: BSD-3-Clause
"""Progress of a run: shown on a terminal, silent in a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from allocmark.errors import printable

if TYPE_CHECKING:
    from allocmark.measuring.schedule import Progress


@contextmanager
def reporter(stream: TextIO) -> Iterator[Callable[[Progress], None]]:
    """Gives a function that shows each step of a run on ``stream``, where that is a terminal."""
    if not stream.isatty():
        yield lambda progress: None
        return
    # rich takes a while to import: only people at a terminal pay for it.
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("[bold]{task.fields[title]}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[cell]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Bar(*columns, console=Console(file=stream), transient=True, refresh_per_second=4) as bar:
        task = bar.add_task("run", total=1.0, title="", cell="")
        drawn = 0.0

        def show(progress: Progress) -> None:
            nonlocal drawn
            # Drawing takes processor time that samples want: four times a second is enough.
            if time.monotonic() - drawn < 0.25:
                return
            drawn = time.monotonic()
            done = (progress.case + progress.block / progress.blocks) / progress.cases
            cell = f"{progress.cell}, sample {progress.block + 1} of {progress.blocks}"
            bar.update(
                task,
                completed=done,
                title=f"[{progress.case + 1}/{progress.cases}] {escape(printable(progress.title))}",
                cell=cell,
            )

        yield show
