# SPDX-License-Identifier: BSD-3-Clause
"""Progress of a run: shown on a terminal, silent in a pipe but for one line where it takes long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TextIO

from allocmark.errors import printable
from allocmark.output.text.figures import counted

if TYPE_CHECKING:
    from allocmark.measuring.schedule import Progress


SLOWED = (
    "something else uses the cores of this machine: the run waits for CPUs that are slower than they were, and makes "
    "rounds again that are set aside, so it may take longer than was said"
)


def _once(write: Callable[[str], object]) -> Callable[[Progress], None]:
    said = False

    def say(progress: Progress) -> None:
        nonlocal said
        if progress.slowed and not said:
            said = True
            write(f"allocmark: {SLOWED}")

    return say


@contextmanager
def reporter(stream: TextIO) -> Iterator[Callable[[Progress], None]]:
    """Gives a function that shows each step of a run on ``stream``, where that is a terminal; elsewhere it only says,
    once, why the run takes long."""
    if not stream.isatty():
        yield _once(lambda text: print(text, file=stream, flush=True))
        return
    # rich takes a while to import: only people at a terminal pay for it.
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        # The figures first: what does not fit is cut off at the end of the line.
        TextColumn("{task.fields[left]}"),
        BarColumn(bar_width=16),
        TextColumn("[bold]{task.fields[title]}"),
        TextColumn("{task.fields[doing]}"),
    )
    with Bar(*columns, console=Console(file=stream), transient=True, refresh_per_second=4) as bar:
        say = _once(partial(bar.console.print, markup=False, highlight=False))
        task = bar.add_task("run", total=1.0, left="", title="", doing="")
        drawn = -1.0

        def show(progress: Progress) -> None:
            nonlocal drawn
            say(progress)
            # Drawing takes processor time that samples want: four times a second is enough.
            if time.monotonic() - drawn < 0.25:
                return
            drawn = time.monotonic()
            bar.update(
                task,
                completed=progress.done,
                left=f"{progress.done:4.0%}" if progress.left is None else f"at most {duration(progress.left)} left",
                title=escape(printable(progress.title)),
                doing=escape(printable(progress.doing)),
            )

        yield show


def expected(seconds: tuple[float, float], cases: int, cells: int) -> str:
    """How much a run is to measure, and how long that takes: at least, and at most."""
    least, most = map(duration, seconds)
    takes = most if least == most else f"{least} to {most}"
    return f"{counted(cases, 'case')}, {counted(cells, 'cell')}: about {takes}"


def duration(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
