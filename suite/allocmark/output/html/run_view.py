# SPDX-License-Identifier: BSD-3-Clause
"""A run as the pages show it: its workloads, its cases, its backends, and who is fastest in each case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any

from allocmark.errors import UsageError
from allocmark.output.text.figures import Names, assignments, names_of, plain, value, varied
from allocmark.output.text.wording import libraries_of, versions_of
from allocmark.results.records import MeasuredCell
from allocmark.results.store import Run
from allocmark.results.summary import CaseSummary, CellSummary, summarise
from allocmark.stats import Verdict


@dataclass(frozen=True)
class Standing:
    """Who is fastest in a case.

    ``level`` are the labels of the fastest and of all that are not slower than it for certain, the fastest first;
    ``word`` says what they are to one another: "fastest" (one alone), "same", "cannot tell", "alone" (nothing to
    compare with) or "none". ``times`` and ``net_times`` are medians in multiples of the lowest one, so that they agree
    with the ns/object beside them; verdicts rest on ratios within rounds. A net of 0 or less has no multiple.
    """

    level: tuple[str, ...] = ()
    word: str = "none"
    times: Mapping[str, float] = field(default_factory=dict)
    net_times: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CaseView:
    """A case; ``title`` says the parameters that vary within its workload."""

    summary: CaseSummary
    title: str
    standing: Standing

    @property
    def workload(self) -> str:
        """The workload's name."""
        return self.summary.planned.workload

    @property
    def place(self) -> str:
        """The workload and the parameters that vary, in one line."""
        return plain(f"{self.workload} {self.title}")

    @property
    def measured(self) -> Iterator[CellSummary]:
        """The cells that have figures."""
        return (cell for cell in self.summary.cells if cell.values)

    def cell(self, label: str | None) -> CellSummary | None:
        """The cell of a backend variant; None where it was not asked for."""
        return next((cell for cell in self.summary.cells if cell.cell.label == label), None)


@dataclass(frozen=True)
class WorkloadView:
    """One workload of a run: the parameters that vary (with values in the order of the plan) and those that do not.

    ``digests`` are those of the file that was measured.
    """

    name: str
    cases: tuple[CaseView, ...]
    varying: Mapping[str, tuple[Any, ...]]
    fixed: str
    digests: tuple[str, ...]


@dataclass(frozen=True)
class BackendView:
    """One backend of a run, with the labels of its variants in the order of the plan.

    ``libraries``: whose functions it called, a line each.
    """

    name: str
    version: str
    labels: tuple[str, ...]
    floor: bool
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True)
class View:
    """A run as pages show it."""

    run: Run
    baseline: str | None
    cases: tuple[CaseView, ...]
    workloads: tuple[WorkloadView, ...]
    backends: tuple[BackendView, ...]
    names: Names = field(repr=False)

    @classmethod
    def of(cls, run: Run, baseline: str | None = None) -> View:
        """Summarise a run. Raises UsageError for a run without timings, and for a baseline that is not in it."""
        if run.header.settings.get("verify"):
            raise UsageError(f"{run.path}: checked objects and timed nothing: `allocmark show` prints what it found")
        summaries = summarise(run, baseline)
        workloads = [_workload(name, list(found)) for name, found in groupby(summaries, lambda s: s.planned.workload)]
        cases = tuple(case for workload in workloads for case in workload.cases)
        return cls(run, baseline, cases, tuple(workloads), tuple(_backends(run)), names_of(run))

    @property
    def title(self) -> str:
        """When the run began, and its name."""
        header = self.run.header
        return plain(f"{header.created[:16].replace('T', ' ')} · {header.id}")

    @property
    def labels(self) -> tuple[str, ...]:
        """Every planned backend variant, in the order of the plan."""
        return tuple(label for backend in self.backends for label in backend.labels)

    @property
    def cells(self) -> Iterator[tuple[CaseView, CellSummary]]:
        """Every cell with its case."""
        return ((case, cell) for case in self.cases for cell in case.summary.cells)

    @cached_property
    def floors(self) -> frozenset[str]:
        """The labels that are the floor somewhere."""
        return frozenset(c.label for case in self.run.header.plan for c in case.cells if c.floor)

    @cached_property
    def rivals(self) -> tuple[str, ...]:
        """The labels that are compared: measured somewhere, and never the floor."""
        measured = {cell.cell.label for _, cell in self.cells if cell.values}
        return tuple(label for label in self.labels if label in measured and label not in self.floors)

    def name(self, label: str | None) -> str:
        """How a label is shown; nothing for None."""
        return "" if label is None else plain(self.names.get(label, label))


def _workload(name: str, summaries: Sequence[CaseSummary]) -> WorkloadView:
    parameters = [summary.planned.parameters for summary in summaries]
    varying, others = varied(parameters)
    values = {k: tuple({value(each[k]): each[k] for each in parameters if k in each}.values()) for k in varying}
    return WorkloadView(
        name,
        tuple(CaseView(s, assignments(s.planned.parameters, varying), standing(s)) for s in summaries),
        values,
        assignments(parameters[0], others),
        tuple(dict.fromkeys(s.planned.digest for s in summaries)),
    )


def _backends(run: Run) -> Iterator[BackendView]:
    planned = [cell for case in run.header.plan for cell in case.cells]
    versions, libraries = versions_of(run), libraries_of(run)
    for name in dict.fromkeys(cell.backend for cell in planned):
        own = [cell for cell in planned if cell.backend == name]
        labels = tuple(dict.fromkeys(cell.label for cell in own))
        called = tuple(f"{each}: {text}" for each, text in libraries.items() if each.partition(":")[0] == plain(name))
        yield BackendView(name, versions.get(name, ""), labels, all(cell.floor for cell in own), called)


def standing(summary: CaseSummary) -> Standing:
    """Who is fastest in a case, by the gross figures: what a program pays."""
    rivals = {c.cell.label: c for c in summary.cells if c.median and not c.cell.floor}
    medians = {label: cell.median.value for label, cell in rivals.items() if cell.median}
    if not medians:
        return Standing()
    best, *others = sorted(medians, key=lambda label: medians[label])
    verdicts = {label: summary.verdict(rivals[label], rivals[best]) for label in others}
    level = (best, *(label for label in others if verdicts[label] is not Verdict.SLOWER))
    if not others:
        word = "alone"
    elif len(level) == 1:
        word = "fastest"
    else:
        word = "same" if all(verdicts[label] is Verdict.SAME for label in level[1:]) else "cannot tell"
    nets = {label: cell.net.value for label, cell in rivals.items() if cell.net and cell.net.value > 0}
    return Standing(
        level,
        word,
        {label: median / medians[best] for label, median in medians.items()},
        {label: net / min(nets.values()) for label, net in nets.items()},
    )


def pools(cell: MeasuredCell, probe: str) -> Mapping[str, Mapping[str, Any]]:
    """What a probe ("memory" or "pages") found under each pool after the samples."""
    facts = cell.probes if probe == "memory" else cell.attestation
    found = _at(facts, "after", probe, "pools")
    return {plain(str(name)): facts for name, facts in found.items() if isinstance(facts, Mapping)}


def _at(tree: Any, *path: str) -> Mapping[str, Any]:
    # Members of a run file that other versions may write otherwise: what is not there is empty.
    for key in path:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree if isinstance(tree, Mapping) else {}
