# SPDX-License-Identifier: BSD-3-Clause
"""Looks at a growing number of rounds: known answers, and how often the gate's verdict on drawn rounds is wrong."""

from __future__ import annotations

import math
import random

import pytest

from allocmark.stats import ERROR, LOOKS, Verdict, final_look, gate_verdict, least_rounds, look


def test_nothing_is_said_before_the_first_look():
    assert look([0.0] * (LOOKS[0] - 1), 1) is None
    assert gate_verdict(None, 0.02) is Verdict.CANNOT_TELL


def test_rounds_between_two_looks_change_nothing():
    logs = [0.001 * i for i in range(LOOKS[0])]
    assert look([*logs, 9.0, 9.0], 1) == look(logs, 1)


def test_more_cells_make_wider_intervals():
    source = random.Random(1)
    logs = [source.gauss(0, 0.01) for _ in range(60)]
    one, many = look(logs, 1), look(logs, 50)
    assert many.low < one.low < one.value == many.value < one.high < many.high


def test_too_many_cells_for_the_rounds_cannot_be_told():
    ratio = look([math.log(2)] * LOOKS[0], 1000)
    assert not ratio.covered
    assert gate_verdict(ratio, 0.02) is Verdict.CANNOT_TELL


def test_exchanging_the_sides_gives_the_reciprocal():
    source = random.Random(2)
    logs = [source.gauss(0.02, 0.01) for _ in range(30)]
    there, back = look(logs, 3), look([-x for x in logs], 3)
    assert there.value * back.value == pytest.approx(1)
    assert there.low * back.high == pytest.approx(1)


def draw(source: random.Random, ratio: float, noise: float) -> float:
    """A round: noise of its own, and one in ten from another layout of memory, far off to either side."""
    far = source.choice((-0.2, 0.2)) if source.random() < 0.1 else 0.0
    return math.log(ratio) + source.gauss(0, noise) + far


def gate(source: random.Random, ratio: float, noise: float, cells: int = 10) -> Verdict:
    """What one cell of a gate comes to when it is asked at every look."""
    logs: list[float] = []
    for n in LOOKS:
        logs += [draw(source, ratio, noise) for _ in range(n - len(logs))]
        said = gate_verdict(look(logs, cells), 0.02)
        if said is not Verdict.CANNOT_TELL:
            break
    return said


@pytest.mark.parametrize("noise", [0.003, 0.01, 0.03])
def test_identical_programs_raise_no_alarm(noise):
    said = [gate(random.Random(seed), 1.0, noise) for seed in range(1000)]
    # A cell of ten may raise one in 1 % / 10 of gates; and a quarter of the limit keeps it from that.
    assert said.count(Verdict.SLOWER) <= 1000 * ERROR / 10
    if noise <= 0.01:
        assert said.count(Verdict.CANNOT_TELL) <= 20


@pytest.mark.parametrize(("ratio", "noise", "least"), [(1.02, 0.01, 0.85), (1.05, 0.03, 0.9), (1.1, 0.03, 0.99)])
def test_slowdowns_are_found_and_never_pass(ratio, noise, least):
    said = [gate(random.Random(seed), ratio, noise) for seed in range(300)]
    assert said.count(Verdict.SLOWER) >= least * 300
    assert said.count(Verdict.SAME) + said.count(Verdict.FASTER) <= 3


@pytest.mark.parametrize("ratios", [1, 5, 40, 1000])
def test_with_the_least_rounds_a_difference_can_be_told(ratios):
    n = least_rounds(ratios)
    assert final_look([1.0] * n, ratios).covered
    assert not final_look([1.0] * (n - 1), ratios).covered
