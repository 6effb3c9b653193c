# SPDX-License-Identifier: BSD-3-Clause
"""When a target of the comparison with DPDK holds, and when nobody can tell."""

from __future__ import annotations

import random

import against_dpdk
import pytest

from allocmark.stats import Estimate

RNG = random.Random(4)


def around(cost: float, noise: float = 0.05, blocks: int = 16) -> dict[int, float]:
    return {block: cost + RNG.gauss(0, noise) for block in range(blocks)}


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (around(1), around(2), "holds"),
        (around(1), around(1), "falls short"),
        (around(1, 0.5), around(1.28, 0.5), "cannot tell"),
        (around(-0.2), around(1), "holds"),  # no dearer than the floor: there is no ratio, and yet an answer
        (around(0, 0.3), around(0, 0.3), "cannot tell"),
        (around(1, 0.05, 7), around(2, 0.05, 7), "cannot tell"),  # too few for 99 %
        (around(1), {}, "cannot tell"),
    ],
)
def test_whether_a_cell_holds_its_target(ours, theirs, said):
    assert against_dpdk.holds(ours, theirs, 1.28) == said


def test_a_target_inside_the_interval_cannot_be_told():
    assert against_dpdk.verdict(Estimate(2.5, 2.1, 3.0, 20, True), 2.0) == "holds"
    assert against_dpdk.verdict(Estimate(1.5, 1.1, 1.9, 20, True), 2.0) == "falls short"
    assert against_dpdk.verdict(Estimate(2.5, 1.9, 3.0, 20, True), 2.0) == "cannot tell"
    assert against_dpdk.verdict(Estimate(2.5, 2.1, 3.0, 5, False), 2.0) == "cannot tell"
    assert against_dpdk.verdict(None, 2.0) == "cannot tell"


def test_a_ratio_of_costs_is_turned_round():
    times = against_dpdk.times_cheaper(Estimate(0.5, 0.4, 0.8, 20, True))
    assert times == Estimate(2.0, 1.25, 2.5, 20, True)
    assert against_dpdk.times_cheaper(Estimate(0.5, 0.4, 0.8, 5, False)) is None
