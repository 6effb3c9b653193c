# SPDX-License-Identifier: BSD-3-Clause
"""What is known of a pair after some rounds."""

from __future__ import annotations

import math

import pytest

from allocmark.gate.rounds import Round, Tally
from allocmark.stats import LOOKS


def tally(*rounds: Round) -> Tally:
    return Tally(pair=None, cells=1, rounds=list(rounds))


def a_round(log: float | None = 0.0, distance: float | None = None, old=None, new=None, pace=18.0) -> Round:
    return Round(log, base=1.0, head=1.0, distance_ns=distance, pace_ns=pace, facts=(old or {}, new or {}))


def test_only_rounds_of_the_commonest_distance_count():
    near = [a_round(0.1, 50.0) for _ in range(LOOKS[0])]
    far = [a_round(0.9, 500.0) for _ in range(5)]
    void = [a_round(None, 50.0)] * 3
    found = tally(*far, *near, *void)
    assert found.used() == near
    assert found.ratio().value == pytest.approx(math.exp(0.1))


def test_rounds_on_a_slow_cpu_do_not_count():
    free = [a_round(0.1) for _ in range(LOOKS[0])]
    shared = [a_round(0.4, pace=34.0) for _ in range(5)]
    assert tally(*shared, *free).used() == free


def test_a_fact_is_what_no_process_of_the_other_side_shows():
    rounds = [
        a_round(old={"objects": 10, "pages": 3, "gone": 1}, new={"objects": 20, "pages": 3}),
        a_round(old={"objects": 10, "pages": 5}, new={"objects": 20, "pages": 4}),
        a_round(old={"objects": 11}, new={"objects": 20}),
    ]
    assert tally(*rounds).facts() == {"objects": (10, 20)}
    assert tally().facts() == {}
