# SPDX-License-Identifier: BSD-3-Clause
"""Which cells can be compared, because both sides have them, and why the others cannot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from allocmark.errors import UsageError
from allocmark.gate.revisions.side import NOT_THERE, Side
from allocmark.installed import canonical
from allocmark.measuring.case_plan import CasePlan
from allocmark.measuring.plan import make_plan, select_backends
from allocmark.measuring.request import Request
from allocmark.plugins import Host, Registered


@dataclass(frozen=True)
class Pair:
    """One cell on both sides, as a case whose two cells are base and head."""

    case: CasePlan

    @property
    def label(self) -> str:
        """``backend:variant``."""
        return self.case.cells[1].backend.label

    @property
    def key(self) -> str:
        """Identifies the cell, together with the content of its workload's file."""
        record = self.case.record
        return " ".join([self.label, record.workload, record.digest, json.dumps(dict(record.parameters))])


@dataclass(frozen=True)
class MissingPair:
    """What is not compared. ``failure``: it should have been."""

    what: str
    reason: str
    failure: bool


@dataclass(frozen=True)
class Pairs:
    """``same``: labels of backends whose files are equal on both sides, so that there is nothing to measure."""

    cells: tuple[Pair, ...]
    same: tuple[str, ...]
    missing: tuple[MissingPair, ...]


def make_pairs(base: Side, head: Side, request: Request, workload_dirs: Sequence[Path], *, unchanged: bool) -> Pairs:
    """The cells of ``request`` on both sides; those of backends with equal files only when ``unchanged`` is set.

    Raises UsageError for a workload that does not exist, or a backend that neither side has.
    """
    cells: list[Pair] = []
    same: list[str] = []
    missing: list[MissingPair] = []
    for label in _labels(base, head, request.backends):
        old, new = _find(base.host, label), _find(head.host, label)
        if old is None or new is None:
            missing.append(_absent(label, base, head, old, new, named=bool(request.backends)))
        elif not unchanged and base.files_of(old) == head.files_of(new):
            same.append(label)
        else:
            found, lost = _cells(label, (base, head), request, workload_dirs, named=bool(request.backends))
            cells += found
            missing += lost
    if not request.backends:
        known = {canonical(r.distribution) for side in (base, head) for r in side.host.backends}
        for built in head.built:
            why = head.why_not(built.distribution)
            if why and canonical(built.distribution) not in known:
                # It fails on both sides: perhaps this machine lacks the library. No failure of HEAD.
                missing.append(MissingPair(built.distribution, f"{head.revision}: {why}", failure=False))
    return Pairs(tuple(cells), tuple(same), tuple(missing))


def _labels(base: Side, head: Side, wanted: Sequence[str]) -> list[str]:
    labels = {r.backend.label for r in head.host.backends}
    both = Host(
        backends=head.host.backends + [r for r in base.host.backends if r.backend.label not in labels],
        broken=head.host.broken + base.host.broken,
    )
    try:
        selected = select_backends(both, Request(backends=wanted))
    except UsageError as error:
        built = [(side.revision, each) for side in (base, head) for each in side.built]
        failed = [f"{each.name} at {revision}: {each.reason}" for revision, each in built if each.reason]
        if failed:
            raise UsageError(f"{error}; what did not build: {'; '.join(failed)}") from error
        raise
    return [r.backend.label for r in selected if not r.backend.floor]


def _find(host: Host, label: str) -> Registered | None:
    return next((r for r in host.backends if r.backend.label == label), None)


def _absent(
    label: str, base: Side, head: Side, old: Registered | None, new: Registered | None, *, named: bool
) -> MissingPair:
    there = old or new
    assert there  # every label is on at least one side
    side = head if new is None else base
    why = side.why_not(there.distribution)
    # A backend that was added or removed is no failure; one that no longer builds is.
    failure = named or (why is not None and why != NOT_THERE)
    return MissingPair(label, f"{side.revision}: {why or 'its backend has no such variant'}", failure)


def _cells(
    label: str, sides: tuple[Side, Side], request: Request, workload_dirs: Sequence[Path], *, named: bool
) -> tuple[list[Pair], list[MissingPair]]:
    hosts = [Host(backends=side.host.backends, workload_dirs=list(workload_dirs)) for side in sides]
    plans = [make_plan(replace(request, backends=[label]), host, floor=False) for host in hosts]
    pairs = []
    missing = [MissingPair(label, reason, failure=False) for reason in plans[1].left_out]
    for old, new in zip(plans[0].cases, plans[1].cases, strict=True):
        cells = (*old.cells, *new.cells)
        reasons = [
            f"{side.revision}: {cell.backend.unavailable.reason}"
            for side, cell in zip(sides, cells, strict=True)
            if cell.backend.unavailable
        ]
        if reasons:
            what = f"{label} {new.record.title}"
            missing.append(MissingPair(what, "; ".join(reasons), failure=named or len(reasons) == 1))
        else:
            pairs.append(Pair(replace(new, cells=cells)))
    return pairs, missing
