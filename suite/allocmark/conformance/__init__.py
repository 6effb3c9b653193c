# SPDX-License-Identifier: BSD-3-Clause
"""The acceptance kit: what every backend must pass. In a plugin's tests::

    import pytest
    from allocmark.conformance import cases

    @pytest.mark.parametrize("case", cases("mypool"), ids=str)
    def test_conformance(case):
        case.check()

Small workloads with each object checked, in the files beside this one, each of which says which part of the contract
(``allocmark/backend.h``) it checks; and `audit_cases.AUDITS`, which check the table directly.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from allocmark.conformance.audit_cases import DEFAULT_BUDGET, TIMEOUT, audit_cases
from allocmark.conformance.kit_case import KitCase, KitResult
from allocmark.discovery import discover
from allocmark.measuring.case_plan import CasePlan
from allocmark.measuring.plan import make_plan, select_backends
from allocmark.measuring.request import Request
from allocmark.measuring.schedule import CaseRun

__all__ = ["DEFAULT_BUDGET", "MAY_REFUSE", "WORKLOADS", "KitCase", "KitResult", "cases"]

WORKLOADS = tuple(sorted(Path(__file__).parent.glob("*.yaml")))

#: Workloads at the edge of what can be asked for: a backend may refuse them. It must serve the others.
MAY_REFUSE = frozenset({"alignments", "bulk_sizes", "many_objects", "object_sizes", "tiny_pools"})


def cases(backend: str, budget: float = DEFAULT_BUDGET, *, prefix: str = "") -> list[KitCase]:
    """The cases for ``NAME`` (its default variant), ``NAME:VARIANT``, which may have wildcards, or a library as
    ``so:PATH`` with its ``prefix``. Runs none of them.

    ``budget``: seconds that are spent on rare faults, for each variant. Raises UsageError when no plugin has such a
    backend, and for the floor, which keeps no objects.
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
    host = discover()
    plans = make_plan(request, host).cases
    found = [
        KitCase(
            cell.backend.label,
            cell.backend.version,
            plan.record.title,
            partial(_verify, replace(plan, cells=(cell,)), request),
        )
        for plan in plans
        for cell in plan.cells
    ]
    chosen = select_backends(host, request, floor=False)
    return found + [case for registered in chosen for case in audit_cases(registered, budget)]


def _verify(plan: CasePlan, request: Request) -> KitResult:
    running = CaseRun(plan, request, 0)
    case = running.run(lambda _: None)
    assert case  # only a run that is stopped has none
    (cell,) = case.cells
    reason = cell.reason or ""
    if cell.status == "ok":
        return KitResult("passed", "", builds=cell.attestation["builds"])
    if running.refused:
        return KitResult("refused" if plan.record.workload in MAY_REFUSE else "failed", reason)
    if cell.status == "unavailable":
        return KitResult("unavailable", f"{reason}: {cell.fix}" if cell.fix else reason)
    return KitResult("failed", reason)
