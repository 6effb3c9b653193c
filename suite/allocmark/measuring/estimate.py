# SPDX-License-Identifier: BSD-3-Clause
"""How long a run will take, before it starts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from allocmark.errors import UsageError
from allocmark.measuring.case_plan import CasePlan
from allocmark.measuring.request import Request
from allocmark.passes import registry
from allocmark.passes.throughput import WARM_UP
from allocmark.results.summary import ratios_of
from allocmark.stats import LOOKS, least_rounds

START_SECONDS = 0.4  #: until the processes of a round are set up, side by side, and until they have ended
CELL_SECONDS = 0.06  #: of each process beside its samples
MOVE_SECONDS = 0.002  #: until the engine of a cell stands elsewhere
WARM_UP_SAMPLES = 3
VERIFY_SECONDS = 2.0


def round_seconds(plan: CasePlan, request: Request, number: int = 0) -> float:
    """What the round with this ``number`` of a case takes, roughly, in seconds."""
    if request.verify:
        return VERIFY_SECONDS
    cells = sum(cell.backend.unavailable is None for cell in plan.cells)
    if plan.passes is not None:
        return START_SECONDS + cells * (CELL_SECONDS + plan.cell_seconds)
    timed = [
        each
        for each in registry.scheduled(request.passes, request.verify, number, number, request.pass_rounds)
        if each.timed
    ]
    samples = sum(each.blocks(request.blocks) + WARM_UP_SAMPLES for each in timed)
    moves = sum(each.blocks(request.blocks) for each in timed if each.moves)
    sampling = (samples + moves / WARM_UP) * request.sample_ms / 1e3
    return START_SECONDS + cells * (CELL_SECONDS + sampling + moves * MOVE_SECONDS)


def case_seconds(plan: CasePlan, request: Request, rounds: int) -> float:
    """What the first ``rounds`` of a case take, roughly, in seconds."""
    return sum(round_seconds(plan, request, number) for number in range(rounds))


def run_seconds(cases: Sequence[CasePlan], request: Request) -> tuple[float, float]:
    """What a run takes, roughly, in seconds: at least, when every verdict is told at the first look, and at most."""
    least, most = (
        sum(case_seconds(case, request, rounds) for case in cases)
        for rounds in (min(LOOKS[0], request.rounds), request.rounds)
    )
    if request.budget is not None:
        least, most = min(least, request.budget), min(most, request.budget)
    return least, most


def check_budget(cases: Sequence[CasePlan], request: Request) -> None:
    """UsageError when the budget is too small for any verdict."""
    rounds = min(least_rounds(ratios_of(case.record for case in cases)), request.rounds)
    least = math.ceil(sum(case_seconds(case, request, rounds) for case in cases))
    if request.budget is not None and request.budget < least:
        raise UsageError(
            f"--budget {request.budget:g}s is too small: {rounds} rounds of each case, without which there is no "
            f"verdict, take about {least} s here: give --budget {least}s or more, or measure fewer cases"
        )
