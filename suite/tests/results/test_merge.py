# SPDX-License-Identifier: BSD-3-Clause
"""The rounds of a case put together: blocks, samples, marks, passes, and cells of which processes failed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from allocmark.passes.latency import Latency, LatencyPass
from allocmark.passes.placement import Placement
from allocmark.passes.reuse import Event, Reuse, figures
from allocmark.results.merge import has_failed, merged
from allocmark.results.records import MeasuredCase, typed
from fixtures.small_rounds import case, failed


def with_last(one: MeasuredCase, **members: Any) -> MeasuredCase:
    return replace(one, cells=(*one.cells[:-1], replace(one.cells[-1], **members)))


def test_one_round_is_the_case() -> None:
    assert merged([case(0)]) == case(0)


def test_blocks_and_samples_are_numbered_through() -> None:
    rounds = [case(0, number=0), case(0, samples=4, number=1), case(0, number=3)]
    found = merged(rounds)
    assert found.rounds == 3
    assert [block.round for block in found.blocks] == [0, 0, 0, 1, 1, 3, 3, 3]
    for cell in found.cells:
        assert cell.blocks == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]
        assert cell.samples == [sample for each in rounds for sample in each.cells[0].samples]
        assert cell.disturbed == {1: ["steal"], 7: ["steal"], 11: ["steal"]}
        assert [each["round"] for each in cell.layouts] == [0, 1, 3]
    assert (found.seconds, found.measured_seconds) == (6.0, 4.5)


def test_a_process_that_failed_leaves_its_blocks_to_the_others() -> None:
    found = merged([case(0, number=n) for n in range(4)] + [failed(case(0, number=4)), case(0, number=5)])
    null, glibc = found.cells
    assert null.blocks[-1] == glibc.blocks[-1] == len(found.blocks) - 1
    assert set(null.blocks) - set(glibc.blocks) == {12, 13, 14}
    assert glibc.disturbed == {index: ["steal"] for index in (1, 7, 13, 19, 25)}
    assert glibc.status == "ok"
    assert glibc.attestation["notes"] == {"": "1 of 6 processes failed, the last one: killed by SIGSEGV"}
    assert "notes" not in null.attestation


def at_pace(one: MeasuredCase, pace: float, beside: float | None = None) -> MeasuredCase:
    """Samples at one pace, and placement ``beside`` them at another one."""
    blocks = tuple(replace(block, distance_ns=58.0, changed=False, pace_ns=pace) for block in one.blocks)
    paces = {} if beside is None else {"placement": beside}
    return with_last(
        replace(one, blocks=blocks, pass_paces=paces), passes={"placement": Placement([pace], "base", 8, "")}
    )


def test_what_was_timed_on_a_slow_cpu_is_left_out() -> None:
    found = merged([at_pace(case(0, number=n), 34.0 if n == 1 else 18.0) for n in range(4)])
    assert sorted(found.cells[-1].passes["placement"].rounds) == [0, 2, 3]


def test_a_pass_that_had_another_cpu_speed_than_the_samples_is_left_out() -> None:
    beside = [18.0, 34.0, None, 19.0]  # None: an older run file, which does not tell
    found = merged([at_pace(case(0, number=n), 18.0, pace) for n, pace in enumerate(beside)])
    assert sorted(found.cells[-1].passes["placement"].rounds) == [0, 2, 3]


@pytest.mark.parametrize(
    ("lost", "processes", "fails"), [(0, 1, False), (1, 4, False), (1, 3, True), (3, 12, False), (4, 12, True)]
)
def test_a_cell_fails_when_more_than_a_quarter_of_its_processes_do(lost: int, processes: int, fails: bool) -> None:
    assert has_failed(lost, processes) is fails
    rounds = [failed(case(0, number=n)) if n < lost else case(0, number=n) for n in range(processes)]
    cell = merged(rounds).cells[-1]
    assert cell.status == ("failed" if fails else "ok")
    if fails:
        assert (cell.samples, cell.blocks) == ([], [])
        assert cell.reason == f"{lost} of {processes} processes failed, the last one: killed by SIGSEGV"


def test_a_cell_that_never_ran_keeps_its_reason() -> None:
    cell = merged([failed(case(0, number=n)) for n in range(3)]).cells[-1]
    assert (cell.status, cell.reason) == ("failed", "killed by SIGSEGV")
    away = [with_last(case(0, number=n), status="unavailable", reason="too old", fix="upgrade") for n in range(3)]
    cell = merged(away).cells[-1]
    assert (cell.status, cell.reason, cell.fix, cell.samples) == ("unavailable", "too old", "upgrade", [])


def test_notes_of_all_processes_and_the_sum_of_failed_gets() -> None:
    def attested(number: int, gets: int, **notes: str) -> MeasuredCase:
        return with_last(case(0, number=number), attestation={"pages": "thp", "failed_gets": gets, "notes": notes})

    found = merged([attested(0, 1, mbuf="no cache"), attested(1, 2), attested(2, 0, other="short")]).cells[-1]
    assert found.attestation == {
        "pages": "thp",
        "failed_gets": 3,
        "notes": {"mbuf": "no cache", "other": "short"},
    }


def latency(ns: float, calls: int) -> Latency:
    reply = {
        "ns": ns, "clock_ns": 20.0 + ns, "resolution_ns": 10.0,
        "get": {"every": 32, "buckets": [[ns, calls]]}, "put": {"every": 32, "buckets": [[1.0, calls]]},
    }  # fmt: skip
    return typed(Latency, LatencyPass().merge({0: reply}, [0])["latency"])


def test_passes_are_combined() -> None:
    reuse = [
        typed(Reuse, figures([Event(64 * (i % n), 0, 0, i // n % 2) for i in range(4 * n)], [64])) for n in (700, 600)
    ]
    rounds = [
        with_last(case(0, number=0), passes={"latency": latency(3.0, 600), "reuse": reuse[0]}),
        with_last(case(0, number=1), passes={"latency": latency(5.0, 900)}),
        case(0, number=2),
    ]
    found = merged(rounds).cells[-1].passes
    # What is timed, over all processes; what is counted, from the first.
    assert found["reuse"] == reuse[0]
    assert found["latency"].get.buckets == [(3.0, 600), (5.0, 900)]
    assert found["latency"].put.buckets == [(1.0, 1500)]
    assert (found["latency"].get.percentiles["50"], found["latency"].put.percentiles["99"]) == (5.0, 1.0)
    assert found["latency"].clock_ns == 23.0
    assert merged(rounds).cells[0].passes == {}


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ({"file": "/a.so", "build_id": "1"}, {"file": "/a.so", "build_id": "2"}, "build id 1, then 2"),
        ({"file": "/a.so", "build_id": ""}, {"file": "/b.so", "build_id": ""}, "file /a.so, then /b.so"),
        ({"file": "/a.so", "digest": "1"}, {"file": "/a.so", "digest": "2"}, "digest 1, then 2"),
        ({"file": "/a.so", "build_id": "1"}, {"file": "/a.so", "build_id": "1"}, None),
        ({}, {}, None),
    ],
)
def test_a_cell_of_two_libraries_fails(before: dict[str, str], after: dict[str, str], changed: str | None) -> None:
    rounds = [with_last(case(0, number=n), attestation={"library": each}) for n, each in enumerate([before, after])]
    cell = merged(rounds).cells[-1]
    assert cell.status == ("failed" if changed else "ok")
    if changed:
        assert cell.reason == f"its library is another one than at first: {changed}: measure anew"
        assert (cell.samples, cell.blocks) == ([], [])


def test_the_builds_of_all_rounds_are_kept() -> None:
    rounds = [with_last(case(0, number=n), attestation={"builds": {str(n): "/a.so", "c": "/c.so"}}) for n in range(2)]
    assert set(merged(rounds).cells[-1].attestation["builds"]) == {"0", "1", "c"}
