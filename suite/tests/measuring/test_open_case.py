# SPDX-License-Identifier: BSD-3-Clause
"""When a case has rounds enough, and what its next round knows of those before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from allocmark import installed
from allocmark.measuring.case_plan import CasePlan
from allocmark.measuring.cpu_watch import watch
from allocmark.measuring.open_case import TRIES, OpenCase
from allocmark.measuring.plan import Plan, make_plan
from allocmark.measuring.request import Request
from allocmark.measuring.runner import LONG_WAITING, _Clock, execute, open_run
from allocmark.passes import registry
from allocmark.plugins import Host
from allocmark.results.records import Block, MeasuredCase, MeasuredCell
from allocmark.stats import LOOKS

OVERRIDES = {"bulk": ["8"], "keep": ["128"], "pools.mbuf.objects": ["999"]}
REQUEST = Request(["burst"], ["glibc", "glibc:no_tcache"], OVERRIDES, short=True, blocks=1, sample_ms=1.0)
NULL, GLIBC, OTHER = "null:default", "glibc:default", "glibc:no_tcache"


def planned(*backends: str) -> CasePlan:
    (plan,) = make_plan(replace(REQUEST, backends=backends), installed.load()).cases
    return plan


@pytest.fixture(scope="module")
def plan() -> CasePlan:
    return planned("glibc", "glibc:no_tcache")


def a_round(plan: CasePlan, number: int, failed: Sequence[str] = (), **cells: float) -> MeasuredCase:
    """A round of one block; ``cells`` has by variant what costs other than 1 ns."""
    record = plan.record

    def cell(label: str, backend: str, variant: str, floor: bool) -> MeasuredCell:
        return MeasuredCell(
            case=0, workload=record.workload, parameters=record.parameters, backend=backend, variant=variant,
            floor=floor, version="1", objects=1000, blocks=[0],
            status="failed" if label in failed else "ok",
            reason="killed by SIGSEGV" if label in failed else None,
            samples=[cells.get(variant, 1.0)],
        )  # fmt: skip

    found = tuple(cell(c.label, c.backend, c.variant, c.floor) for c in record.cells)
    return MeasuredCase(0, found, (Block(None, False, number),), 2.0, 1.0, number)


def opened(plan: CasePlan, rounds: int, request: Request = REQUEST, **cells: float) -> OpenCase:
    return OpenCase(plan, request, None, 1, [a_round(plan, number, **cells) for number in range(rounds)])


def test_a_case_ends_at_the_first_look_at_which_all_is_told(plan: CasePlan) -> None:
    case = opened(plan, LOOKS[0] - 1, no_tcache=2.0)
    assert (case.done, case.rounds_left) == (False, REQUEST.rounds - LOOKS[0] + 1)
    case.add(a_round(plan, LOOKS[0] - 1, no_tcache=2.0))
    assert (case.done, case.rounds_left) == (True, 0)


def at_pace(record: MeasuredCase, pace: float) -> MeasuredCase:
    return replace(record, blocks=tuple(replace(block, pace_ns=pace) for block in record.blocks))


def test_rounds_on_a_slow_cpu_do_not_count(plan: CasePlan) -> None:
    case = opened(plan, 0)
    for number in range(LOOKS[0] + 3):
        case.add(at_pace(a_round(plan, number, no_tcache=2.0), 34.0 if number in (1, 4, 5) else 18.0))
        assert case.done == (number == LOOKS[0] + 2)
    assert (case.usable, len(case.rounds)) == (LOOKS[0], LOOKS[0] + 3)


def test_each_look_is_taken_once(plan: CasePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr(OpenCase, "_told", lambda self: looks.append(self.usable))
    case = opened(plan, 0)
    for number in range(LOOKS[1]):
        case.add(at_pace(a_round(plan, number), 34.0 if number in (LOOKS[0], LOOKS[0] + 1) else 18.0))
    assert looks == [LOOKS[0]]


def test_a_round_knows_how_many_before_it_were_usable(plan: CasePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def scheduled(*arguments: Any) -> tuple[()]:
        asked.append(arguments)
        return ()

    case = opened(plan, 0)
    for number, pace in enumerate((18.0, 34.0, 18.0)):
        case.add(at_pace(a_round(plan, number), pace))
    monkeypatch.setattr(registry, "scheduled", scheduled)
    case.next_round((), lambda: True, lambda _: None)
    ((*_, number, usable, _),) = asked
    assert (number, usable) == (3, 2)


@pytest.mark.parametrize(
    ("paces", "spent", "has_room"),
    [
        ([18.0] * (LOOKS[0] - 1), 99.0, True),
        ([18.0] * LOOKS[0], 11.0, False),
        ([34.0, *[18.0] * (LOOKS[0] - 1)], 11.0, True),
        ([34.0, *[18.0] * (LOOKS[0] - 1)], 39.0, False),  # a round takes 2 s
        ([18.0, 34.0, 70.0] * (LOOKS[0] * 2 // 3), 11.0, False),  # twice as many, and a third of them usable
    ],
)
def test_a_budget_is_exceeded_for_a_verdict_and_not_without_end(
    plan: CasePlan, paces: Sequence[float], spent: float, has_room: bool
) -> None:
    request = replace(REQUEST, rounds=500, budget=10.0)
    case = opened(plan, 0, request)
    for number, pace in enumerate(paces):
        case.add(at_pace(a_round(plan, number, no_tcache=(0.5, 2.0)[number % 2]), pace))
    clock = _Clock([case], request, LOOKS[0], spent)
    assert (clock.has_room(case), clock.makes_up(case)) == (has_room, max(paces) > min(paces))


@pytest.mark.parametrize(("slow", "slowed_from"), [((), None), ((1, 4), LOOKS[0])])
def test_a_run_that_makes_rounds_again_says_so(
    plan: CasePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: Sequence[int], slowed_from: int | None
) -> None:
    def next_round(case: OpenCase, _: object, __: object, tell: Callable[[str], None]) -> MeasuredCase:
        tell("glibc:default")
        number = len(case.rounds)
        made = a_round(plan, number, no_tcache=(0.5, 2.0)[number % 2])
        return at_pace(made, 34.0 if number in slow else 18.0)

    monkeypatch.setattr(OpenCase, "next_round", next_round)
    request = replace(REQUEST, rounds=LOOKS[0])
    told: list[bool] = []
    with open_run(Plan((plan,), ()), request, tmp_path / "here", [], None) as writer:
        execute(Plan((plan,), ()), request, Host(), writer, lambda progress: told.append(progress.slowed))
    assert told == [slowed_from is not None and number >= slowed_from for number in range(LOOKS[0] + len(slow))]


def test_a_run_that_waits_long_for_a_cpu_says_so(
    plan: CasePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def next_round(case: OpenCase, _: object, __: object, tell: Callable[[str], None]) -> MeasuredCase:
        tell("glibc:default")
        monkeypatch.setattr(watch, "waited", watch.waited + LONG_WAITING)
        return a_round(plan, len(case.rounds))

    monkeypatch.setattr(OpenCase, "next_round", next_round)
    monkeypatch.setattr(watch, "waited", 1000.0)  # as in runs before
    request = replace(REQUEST, rounds=3)
    told: list[bool] = []
    with open_run(Plan((plan,), ()), request, tmp_path / "here", [], None) as writer:
        execute(Plan((plan,), ()), request, Host(), writer, lambda progress: told.append(progress.slowed))
    assert told == [False, False, True]


def test_what_cannot_be_told_goes_on_to_the_last_round(plan: CasePlan) -> None:
    request = replace(REQUEST, rounds=LOOKS[1] + 1)
    case = OpenCase(plan, request, None, 1, [])
    while not case.done:
        number = len(case.rounds)
        case.add(a_round(plan, number, no_tcache=(0.5, 2.0)[number % 2]))
    assert len(case.rounds) == request.rounds


@pytest.mark.parametrize(
    ("asked", "slow", "made"),
    [
        (LOOKS[0], (), LOOKS[0]),
        (LOOKS[0], (1, 4), LOOKS[0] + 2),
        (LOOKS[0], range(3, 100), 2 * LOOKS[0]),  # each at another speed
        (LOOKS[0] - 1, (1, 4), LOOKS[0] - 1),  # no verdict anyway
    ],
)
def test_rounds_that_are_set_aside_are_made_again_up_to_as_many(
    plan: CasePlan, asked: int, slow: Sequence[int], made: int
) -> None:
    case = OpenCase(plan, replace(REQUEST, rounds=asked), None, 1, [])
    while not case.done:
        number = len(case.rounds)
        slowly = 18.0 * 1.5**number if number in slow else 18.0
        case.add(at_pace(a_round(plan, number, no_tcache=(0.5, 2.0)[number % 2]), slowly))
    assert len(case.rounds) == made


def test_the_floor_alone_is_measured_as_often_as_others() -> None:
    plan = planned("null")
    assert not opened(plan, 1).done
    assert opened(plan, LOOKS[0]).done


def test_a_round_takes_as_long_as_those_before(plan: CasePlan) -> None:
    assert opened(plan, 0).round_seconds is None
    case = opened(plan, 1)
    case.add(replace(a_round(plan, 1), seconds=4.0))
    assert case.round_seconds == 3.0


def test_a_missing_round_is_measured_next_and_not_added(plan: CasePlan) -> None:
    case = OpenCase(plan, REQUEST, None, 1, [a_round(plan, number) for number in (0, 2)])
    record = case.next_round([], lambda: False, lambda _: None)
    assert record
    assert [(cell.label, cell.status) for cell in record.cells] == [(each, "ok") for each in (NULL, GLIBC, OTHER)]
    assert (record.round, len(case.rounds)) == (1, 2)
    assert case.next_round([], lambda: True, lambda _: None) is None  # stopped


def test_a_cell_that_keeps_failing_is_given_up(plan: CasePlan) -> None:
    rounds = [a_round(plan, number, [OTHER]) for number in range(TRIES)]
    case = OpenCase(plan, REQUEST, None, 1, rounds)
    assert not case.done
    record = case.next_round([], lambda: False, lambda _: None)
    assert record
    *others, lost = record.cells
    assert {cell.status for cell in others} == {"ok"}
    assert (lost.status, lost.reason, lost.layouts) == ("failed", "killed by SIGSEGV", [])  # not even started

    for number in range(TRIES):
        case.add(a_round(plan, TRIES + number, [GLIBC, OTHER]))
    assert case.done  # nothing is left to compare


def test_a_cell_that_fails_now_and_then_is_tried_again(plan: CasePlan) -> None:
    rounds = [a_round(plan, number, [OTHER] if number in (2, 7) else []) for number in range(8)]
    record = OpenCase(plan, REQUEST, None, 1, rounds).next_round([], lambda: False, lambda _: None)
    assert record
    assert record.cells[-1].status == "ok"
