# SPDX-License-Identifier: BSD-3-Clause
"""What a workload leaves to chance, drawn anew in each round."""

from __future__ import annotations

from dataclasses import replace

from allocmark import find_workload, installed
from allocmark.measuring.plan import make_plan
from allocmark.measuring.request import Request
from allocmark.measuring.schedule import CaseRun
from allocmark.measuring.tapes import Tapes

ROUNDS = 6
MIXED = {"mix": ["imix"], "lifetime": ["random"], "bulk": ["32"], "touch": ["0"], "cache": ["256"]}


def tapes(workload: str, sweep: dict[str, list[str]], seed: int = 1) -> Tapes:
    template = find_workload(workload)
    (case,) = template.cases(sweep, short=True)
    return Tapes.of(str(template.path), template.digest, case.parameters, seed, case.workload)


def test_each_round_has_tapes_of_its_own() -> None:
    found = tapes("mixed_sizes", MIXED)
    bodies = [found.of_round(number).actors[0].indices for number in range(ROUNDS)]
    assert len({*bodies}) == ROUNDS
    assert bodies[0] == found.program.actors[0].indices
    assert bodies == [tapes("mixed_sizes", MIXED).of_round(number).actors[0].indices for number in range(ROUNDS)]
    assert not {*bodies} & {tapes("mixed_sizes", MIXED, 2).of_round(n).actors[0].indices for n in range(ROUNDS)}


def test_what_leaves_nothing_to_chance_is_the_same_in_each() -> None:
    found = tapes("burst", {"bulk": ["8"], "keep": ["128"]})
    assert all(found.of_round(number) is found.program for number in range(ROUNDS))


def test_a_draw_for_which_a_pool_is_too_small_is_left_out() -> None:
    found = tapes("mixed_sizes", MIXED)
    held = found.program.actors[0].ring_capacity
    small = {
        name: pool.model_copy(update={"objects": most})
        for (name, pool), most in zip(found.workload.pools.items(), held, strict=True)
    }
    tight = replace(found, workload=found.workload.model_copy(update={"pools": small}), digest="tight")
    drawn = [tight.of_round(number) for number in range(4 * ROUNDS)]
    refused = [number for number, program in enumerate(drawn) if program is tight.program]
    assert 1 < len(refused) < len(drawn)  # the first, and others


def test_a_round_of_a_run_has_its_own() -> None:
    request = Request(["mixed_sizes"], ["glibc"], MIXED)
    (plan,) = make_plan(request, installed.load()).cases
    assert [CaseRun(plan, request, number).plan.program == plan.program for number in range(3)] == [True, False, False]
