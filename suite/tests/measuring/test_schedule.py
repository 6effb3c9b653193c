# SPDX-License-Identifier: BSD-3-Clause
"""In which order a round takes its samples."""

from __future__ import annotations

from itertools import groupby

import pytest

from allocmark import installed
from allocmark.measuring.plan import make_plan
from allocmark.measuring.request import Request
from allocmark.measuring.schedule import CaseRun

BLOCKS = 4
ONE = {"bulk": ["8"], "keep": ["128"]}


def turns(together: bool, number: int) -> list[str]:
    """Who took samples, a label for each stretch, in the round of that number."""
    request = Request(["burst"], ["glibc"], ONE, short=True, blocks=BLOCKS, sample_ms=1.0, together=together, passes=())
    (plan,) = make_plan(request, installed.load()).cases
    told: list[str] = []
    done = CaseRun(plan, request, number).run(told.append)
    assert done
    assert len(done.blocks) == BLOCKS
    assert [cell.blocks for cell in done.cells] == [list(range(BLOCKS))] * 2
    return [label for label, _ in groupby(text for text in told if ":" in text and "warm-up" not in text)]


def test_backends_take_turns() -> None:
    first, last = turns(False, 0)[0], turns(False, 0)[-1]
    assert {first, last} <= {"null:default", "glibc:default"}
    assert len(turns(False, 0)) > 2


@pytest.mark.parametrize("number", [0, 1])
def test_samples_of_a_backend_are_taken_together(number: int) -> None:
    assert sorted(turns(True, number)) == ["glibc:default", "null:default"]


def test_the_order_is_another_one_in_the_next_round() -> None:
    assert turns(True, 0) == turns(True, 1)[::-1]
