# SPDX-License-Identifier: BSD-3-Clause
"""Blocks of a round: which layout each asks for, which CPU it is on, and which are taken again. What the CPUs are like
is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest

from allocmark import installed
from allocmark.measuring import schedule
from allocmark.measuring.case_plan import CasePlan
from allocmark.measuring.cpu_watch import CpuWatch
from allocmark.measuring.draws import Draw
from allocmark.measuring.plan import make_plan
from allocmark.measuring.process import CellProcess
from allocmark.measuring.request import Request
from allocmark.measuring.schedule import CaseRun
from allocmark.system import machine

BLOCKS = 4
REQUEST = Request(
    ["burst"], ["glibc"], {"bulk": ["8"], "keep": ["128"]}, short=True, blocks=BLOCKS, sample_ms=1.0, passes=()
)
FREE, SHARED = 18.0, 34.0

Asked = list[int | None]  #: the seed of a layout that is to be had, None: a sample


@pytest.fixture(scope="module")
def plan() -> CasePlan:
    (plan,) = make_plan(REQUEST, installed.load()).cases
    return replace(plan, cells=tuple(cell for cell in plan.cells if not cell.backend.floor))


def measured(plan: CasePlan, request: Request = REQUEST) -> tuple[Asked, Asked]:
    """What the process of the cell was asked for: to warm up, and in the blocks."""
    asked: Asked = []
    warm: list[int] = []

    class Listening(CellProcess):
        def request(self, what: str, **values: Any) -> dict[str, Any]:
            asked.append(values.get("layout_seed"))
            return super().request(what, **values)

    def start(*arguments: Any) -> CellProcess:
        return Listening(*arguments)

    def tell(doing: str) -> None:
        if not warm and doing == plan.cells[0].backend.label:
            warm.append(len(asked))

    done = CaseRun(plan, request, 3, process=start).run(tell)
    assert done
    assert [cell.status for cell in done.cells] == ["ok"]
    return asked[: warm[0]], asked[warm[0] :]


def blocks_of(plan: CasePlan) -> Asked:
    """Those of a round: the first lies where the process began."""
    draw = Draw.of(REQUEST.seed, plan.record.title, "0 glibc:default", 3)
    return [None, *chain.from_iterable((draw.of_block(block), None) for block in range(1, BLOCKS))]


def always_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "watch", CpuWatch(pace=lambda _: FREE))


def test_each_block_but_the_first_has_a_layout_of_its_own(plan: CasePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    always_free(monkeypatch)
    warm, blocks = measured(plan)
    assert set(warm) == {None}
    assert blocks == blocks_of(plan)
    assert len(set(blocks)) == BLOCKS


def test_a_block_in_which_the_cpu_changed_is_taken_again_once(plan: CasePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    def paces() -> Iterator[float]:
        yield FREE  # choosing a CPU
        yield FREE  # before the first block
        yield SHARED  # after it: changed
        yield SHARED  # after the second try
        while True:
            yield SHARED

    found = paces()
    monkeypatch.setattr(schedule, "watch", CpuWatch(pace=lambda _: next(found)))
    first, *others = blocks_of(plan)
    assert measured(plan)[1] == [first, first, *others]


def test_long_samples_are_kept_whatever_a_cpu_does_at_their_ends(
    plan: CasePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    paces = iter([FREE, *[FREE, SHARED] * 99])
    monkeypatch.setattr(schedule, "watch", CpuWatch(pace=lambda _: next(paces)))
    done = CaseRun(replace(plan, cell_seconds=2 * schedule.LONG_SAMPLE), REQUEST, 3).run(lambda _: None)
    assert done
    assert {(block.changed, block.pace_ns) for block in done.blocks} == {(False, None)}


def test_those_that_stay_together_are_taken_once(plan: CasePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    paces = iter([FREE, FREE, *[SHARED] * 99])
    monkeypatch.setattr(schedule, "watch", CpuWatch(pace=lambda _: next(paces)))
    assert measured(plan, replace(REQUEST, together=True))[1] == blocks_of(plan)


@pytest.mark.skipif(len(machine.usable_cpus()) < 2, reason="needs two CPUs")
def test_a_single_actor_takes_another_cpu_of_its_node(plan: CasePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    ((planned, node),) = plan.cpus
    now: dict[int, float] = dict.fromkeys(machine.usable_cpus(), FREE)
    watch = CpuWatch(pace=now.__getitem__)
    monkeypatch.setattr(schedule, "watch", watch)
    watch.look([planned])
    assert cpus(plan) == (planned, node)
    now[planned] = SHARED
    other, same_node = cpus(plan)
    assert other != planned
    assert same_node == node == machine.cpu_node(other)
    monkeypatch.setattr(machine, "cpu_node", lambda cpu: node if cpu == planned else node + 1)
    assert cpus(plan) == (planned, node)  # none is on its node


def cpus(plan: CasePlan) -> tuple[int, int]:
    (chosen,) = CaseRun(plan, REQUEST, 0).plan.cpus
    return chosen
