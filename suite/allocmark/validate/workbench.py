# SPDX-License-Identifier: BSD-3-Clause
"""What every proof needs: the backends of this machine, and a comparison as `allocmark run` makes it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from allocmark.measuring import runner
from allocmark.measuring.plan import select_backends
from allocmark.measuring.request import Request
from allocmark.measuring.schedule import Progress
from allocmark.plugins import Host, Registered
from allocmark.results.summary import CaseSummary, summarise
from allocmark.system import machine
from allocmark.validate.forms import Form

#: Of burst: one core, within its caches. The pool is small, for it is made in each of thousands of processes.
SHORT = {
    "keep": ["128"],
    "touch": ["0"],
    "off_ns": ["0"],
    "cores": ["1"],
    "cache": ["512"],
    "pools.mbuf.objects": ["8191"],
}


class Workbench:
    """``folder`` is for whatever has to be written while it measures; ``report`` is told what is being done."""

    def __init__(self, form: Form, host: Host, folder: Path, report: Callable[[Progress], None]) -> None:
        self.form = form
        self.host = host
        self.folder = folder
        self._report = report
        self._numbers = itertools.count(1)
        self._title = ""
        self._part = (0.0, 1.0)  #: of the whole: where this proof begins, and how much of it it is

    def begin(self, title: str, part: tuple[float, float]) -> None:
        """From now on what is told is of this proof."""
        self._title = title
        self._part = part

    def tell(self, share: float, doing: str) -> None:
        """``share`` of this proof is done."""
        first, length = self._part
        self._report(Progress(first + length * share, self._title, doing))

    def backends(self, most: int) -> list[Registered]:
        """The default variants that run here: pools before allocators of any size, as they cost about the same."""
        found = [r for r in select_backends(self.host, Request(), floor=False) if r.backend.unavailable is None]
        return sorted(found, key=lambda r: r.backend.capabilities.any_size)[:most]

    def request(
        self, workloads: Sequence[str], overrides: Mapping[str, Sequence[str]], backends: Sequence[str]
    ) -> Request:
        """What a person would ask for, with the numbers of this form. Each has a seed of its own: other layouts."""
        form = self.form
        return Request(
            workloads,
            backends,
            overrides,
            short=not form.all_cases and not overrides,
            seed=next(self._numbers),
            rounds=form.rounds,
            blocks=form.blocks,
            sample_ms=form.sample_ms,
        )

    def compare(
        self,
        request: Request,
        host: Host | None = None,
        baseline: str | None = None,
        share: tuple[float, float] = (0.0, 1.0),
    ) -> list[CaseSummary]:
        """Run it as `allocmark run` does, into a file of its own. ``share`` of the proof is done before and after."""
        directory = self.folder / f"run{request.seed}"
        plan, writer = runner.start(request, host or self.host, directory, [], baseline)

        def report(progress: Progress) -> None:
            first, last = share
            self.tell(first + (last - first) * progress.done, progress.title)

        with writer:
            run = runner.execute(plan, request, host or self.host, writer, report)
        if run.end and run.end.interrupted:
            raise KeyboardInterrupt
        return summarise(run)

    def numbers(self) -> dict[str, float]:
        """Of every run, for the record."""
        form = self.form
        return {"rounds": form.rounds, "blocks": form.blocks, "sample_ms": form.sample_ms}


def cores() -> int:
    """How many may be used."""
    return len(machine.usable_cpus())


def losses(cases: Sequence[CaseSummary]) -> list[str]:
    """A line for each cell that gave no figures."""
    return [
        f"{cell.cell.label} in {case.planned.title}: {cell.cell.reason or cell.no_ratio}"
        for case in cases
        for cell in case.cells
        if not cell.values
    ]
