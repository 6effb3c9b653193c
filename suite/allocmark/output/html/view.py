# SPDX-License-Identifier: BSD-3-Clause
"""What the pages say about a run: its workloads, its backends, and who is cheapest where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any

from allocmark import stats
from allocmark.errors import UsageError
from allocmark.output.text.figures import Names, assignments, names_of, plain, value
from allocmark.results.records import MeasuredCell
from allocmark.results.store import Run
from allocmark.results.summary import CaseSummary, CellSummary, summarise
from allocmark.stats import Estimate, Verdict


@dataclass(frozen=True)
class Standing:
    """Who is cheapest in a case.

    ``level`` are the labels of the cheapest and of all that are not dearer than it for certain, the cheapest first;
    ``word`` says what they are to one another: "cheapest" (one alone), "same", "cannot tell", "alone" (nothing to
    compare with) or "none". ``ratios`` and ``net_ratios`` are those to the cheapest.
    """

    level: tuple[str, ...]
    word: str
    ratios: Mapping[str, Estimate | None]
    net_ratios: Mapping[str, Estimate | None]

    @property
    def best(self) -> str | None:
        """The label with the lowest median."""
        return self.level[0] if self.level else None


@dataclass(frozen=True)
class CaseView:
    """One workload with one set of parameters; ``title`` says those that vary within the workload."""

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
        return f"{self.workload} {self.title}".rstrip()

    @property
    def measured(self) -> Iterator[CellSummary]:
        """The cells that have figures."""
        return (cell for cell in self.summary.cells if cell.values)

    def cell(self, label: str | None) -> CellSummary | None:
        """The cell of a backend variant."""
        return next((cell for cell in self.summary.cells if cell.cell.label == label), None)

    def net(self, label: str) -> dict[int, float]:
        """The block medians of a cell less those of the floor; empty without a floor."""
        cell, floor = self.cell(label), self.cell(self.summary.floor)
        return stats.net(cell.values, floor.values) if cell and floor and not cell.cell.floor else {}


@dataclass(frozen=True)
class WorkloadView:
    """One workload of a run: the parameters that vary (with values in the order of the plan) and those that do not."""

    name: str
    cases: tuple[CaseView, ...]
    varying: Mapping[str, tuple[Any, ...]]
    fixed: str
    digests: tuple[str, ...]


@dataclass(frozen=True)
class BackendView:
    """One backend of a run, with the labels of its variants in the order of the plan."""

    name: str
    version: str
    labels: tuple[str, ...]
    floor: bool


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
        """The labels that are compared: measured somewhere, and not the floor."""
        measured = {cell.cell.label for _, cell in self.cells if cell.values}
        return tuple(label for label in self.labels if label in measured and label not in self.floors)

    def name(self, label: str | None) -> str:
        """How a label is shown; nothing for None."""
        return "" if label is None else plain(self.names.get(label, label))


def _workload(name: str, summaries: Sequence[CaseSummary]) -> WorkloadView:
    parameters = [summary.planned.parameters for summary in summaries]
    keys = list(dict.fromkeys(key for each in parameters for key in each))
    varying = [k for k in keys if any(k not in each or each[k] != parameters[0].get(k) for each in parameters)]
    values = {k: tuple({value(each[k]): each[k] for each in parameters if k in each}.values()) for k in varying}
    return WorkloadView(
        name,
        tuple(CaseView(s, assignments(s.planned.parameters, varying), standing(s)) for s in summaries),
        values,
        assignments(parameters[0], [k for k in keys if k not in varying]),
        tuple(dict.fromkeys(s.planned.digest for s in summaries)),
    )


def _backends(run: Run) -> Iterator[BackendView]:
    planned = [cell for case in run.header.plan for cell in case.cells]
    versions = {cell.backend: cell.version for case in run.cases for cell in case.cells if cell.version}
    for name in dict.fromkeys(cell.backend for cell in planned):
        own = [cell for cell in planned if cell.backend == name]
        labels = tuple(dict.fromkeys(cell.label for cell in own))
        yield BackendView(name, versions.get(name, ""), labels, all(cell.floor for cell in own))


def standing(summary: CaseSummary) -> Standing:
    """Who is cheapest in a case, by the gross figures: what a program pays."""
    rivals = {cell.cell.label: cell for cell in summary.cells if cell.median and not cell.cell.floor}
    if not rivals:
        return Standing((), "none", {}, {})
    ordered = sorted(rivals, key=lambda label: _median(rivals[label]))
    best = rivals[ordered[0]]
    ratios = {label: stats.paired_ratio(rivals[label].values, best.values) for label in ordered}
    floor = next((cell.values for cell in summary.cells if cell.cell.label == summary.floor), {})
    nets = {label: stats.net(rivals[label].values, floor) for label in ordered}
    net_ratios = {label: stats.paired_ratio(nets[label], nets[ordered[0]]) for label in ordered}
    verdicts = {label: stats.verdict(ratios[label]) for label in ordered[1:]}
    level = (ordered[0], *(label for label, said in verdicts.items() if said is not Verdict.SLOWER))
    if len(ordered) == 1:
        word = "alone"
    elif len(level) == 1:
        word = "cheapest"
    else:
        word = "same" if all(verdicts[label] is Verdict.SAME for label in level[1:]) else "cannot tell"
    return Standing(level, word, ratios, net_ratios)


def _median(cell: CellSummary) -> float:
    return cell.median.value if cell.median else float("inf")


def slugs(names: Iterable[str]) -> dict[str, str]:
    """A file name or anchor for each name: letters, digits, "-" and "_" only, and no two alike."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        stem = re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-").lower() or "unnamed"
        slug, number = stem, 1
        while slug in taken:
            number += 1
            slug = f"{stem}-{number}"
        taken.add(slug)
        found[name] = slug
    return found


def resident(cell: MeasuredCell) -> int | None:
    """Resident bytes of the cell's process after its samples, hugetlb pages included; None where not known."""
    process = _at(cell.probes, "after", "memory", "process")
    found = process.get("resident")
    return found if isinstance(found, int) else None


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
