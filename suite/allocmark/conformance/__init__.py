# SPDX-License-Identifier: BSD-3-Clause
"""The acceptance kit: small workloads that every backend must pass, with each object checked. In a plugin's tests::

    import pytest
    from allocmark.conformance import cases

    @pytest.mark.parametrize("case", cases("mypool"), ids=str)
    def test_conformance(case):
        case.check()

The workloads are the files beside this one; each says which part of the contract (``allocmark/backend.h``) it checks.
"""

from __future__ import annotations

import unittest
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from allocmark.discovery import discover
from allocmark.measuring.plan import CasePlan, make_plan
from allocmark.measuring.request import Request
from allocmark.measuring.schedule import CaseRun

WORKLOADS = tuple(sorted(Path(__file__).parent.glob("*.yaml")))

#: Workloads at the edge of what can be asked for: a backend may refuse them. It must serve the others.
MAY_REFUSE = frozenset({"alignments", "bulk_sizes", "object_sizes", "tiny_pools"})

TIMEOUT = 20.0  #: seconds a silent process may take

Status = Literal["passed", "failed", "refused", "unavailable"]


@dataclass(frozen=True)
class KitResult:
    """The result of a case; ``reason`` is one line, "" when it passed.

    "refused": the backend would not make such a pool, which it may in this case. "unavailable": it cannot run here, or
    declares that it cannot do what the case checks.
    """

    status: Status
    reason: str


@dataclass(frozen=True)
class KitCase:
    """A workload with one set of parameters, for one backend variant. ``str`` gives its name, unique for a variant."""

    backend: str
    version: str
    name: str
    _plan: CasePlan
    _request: Request

    def __str__(self) -> str:
        return self.name

    def run(self) -> KitResult:
        """Run the case in a process of its own. A crash of the backend is a result too: "failed"."""
        running = CaseRun(self._plan, self._request, 0)
        case = running.run(lambda _: None)
        assert case  # only a run that is stopped has none
        (cell,) = case.cells
        reason = cell.reason or ""
        if cell.status == "ok":
            return KitResult("passed", "")
        if running.refused:
            return KitResult("refused" if self._plan.record.workload in MAY_REFUSE else "failed", reason)
        if cell.status == "unavailable":
            return KitResult("unavailable", f"{reason}: {cell.fix}" if cell.fix else reason)
        return KitResult("failed", reason)

    def check(self) -> None:
        """For test suites: raises AssertionError when the case failed, and skips the test when it cannot run."""
        result = self.run()
        if result.status == "failed":
            raise AssertionError(f"{self.backend}, {self.name}: {result.reason}")
        if result.status != "passed":
            raise unittest.SkipTest(f"{result.status}: {result.reason}")


def cases(backend: str, prefix: str = "") -> list[KitCase]:
    """The cases for ``NAME`` (its default variant), ``NAME:VARIANT``, which may have wildcards, or a library as
    ``so:PATH`` with its ``prefix``. Runs none of them.

    Raises UsageError when no plugin has such a backend, and for the floor, which keeps no objects.
    """
    # Actors are not pinned: threads that move between cores find more faults, and any number of cores will do.
    request = Request(
        *([str(path) for path in WORKLOADS], [backend]),
        prefix=prefix,
        short=True,
        verify=True,
        pin=False,
        timeout=TIMEOUT,
    )
    return [
        KitCase(plan.backend.label, plan.backend.version, case.record.title, replace(case, cells=(plan,)), request)
        for case in make_plan(request, discover()).cases
        for plan in case.cells
    ]
