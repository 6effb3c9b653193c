# SPDX-License-Identifier: BSD-3-Clause
"""How long a run will take, before it starts."""

from __future__ import annotations

from collections.abc import Sequence

from allocmark.errors import UsageError
from allocmark.measuring.plan import CasePlan
from allocmark.measuring.request import Request
from allocmark.passes import registry
from allocmark.stats import LEAST_ROUNDS, LOOKS

START_SECONDS = 0.4  #: until the processes of a round are set up, side by side, and until they have ended
CELL_SECONDS = 0.03  #: of each process beside its samples
WARM_UP_SAMPLES = 3
VERIFY_SECONDS = 2.0


def round_seconds(plan: CasePlan, request: Request) -> float:
    """What one round of a case takes, roughly, in seconds."""
    if request.verify:
        return VERIFY_SECONDS
    timed = [each for each in registry.scheduled(request.passes, request.verify) if each.timed]
    samples = sum(each.blocks(request.blocks) + WARM_UP_SAMPLES for each in timed)
    cells = sum(cell.backend.unavailable is None for cell in plan.cells)
    return START_SECONDS + cells * (CELL_SECONDS + samples * request.sample_ms / 1e3)


def run_seconds(cases: Sequence[CasePlan], request: Request) -> tuple[float, float]:
    """What a run takes, roughly, in seconds: at least, when every verdict is told at the first look, and at most."""
    turn = sum(round_seconds(case, request) for case in cases)
    least, most = turn * min(LOOKS[0], request.rounds), turn * request.rounds
    if request.budget is not None:
        least, most = min(least, request.budget), min(most, request.budget)
    return least, most


def check_budget(cases: Sequence[CasePlan], request: Request) -> None:
    """UsageError when the budget is too small for any verdict."""
    least = sum(round_seconds(case, request) for case in cases) * min(LEAST_ROUNDS, request.rounds)
    if request.budget is not None and request.budget < least:
        raise UsageError(
            f"--budget {request.budget:g}s is too small: {LEAST_ROUNDS} rounds of {len(cases)} cases, without which no "
            f"verdict is given, take about {least:.0f} s: raise it, or measure fewer cases"
        )
