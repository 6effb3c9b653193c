# SPDX-License-Identifier: BSD-3-Clause
"""The search finds the first number that does of each range, and a good guess saves it trials."""

from __future__ import annotations

import pytest

from allocmark.sizing.smallest import Range, smallest


class Trials:
    """Of each range ``firsts`` do, and what is above. One is told of the first that does not."""

    def __init__(self, *firsts: int) -> None:
        self.firsts = firsts
        self.tried: list[tuple[int, ...]] = []

    def __call__(self, numbers):
        self.tried.append(tuple(numbers))
        wrong = (place for place, pair in enumerate(zip(numbers, self.firsts, strict=True)) if pair[0] < pair[1])
        return next(wrong, None)


def guessed(guess: int, low: int = 10, high: int = 100) -> Range:
    return Range(low, lambda: guess, high)


@pytest.mark.parametrize("guess", [0, 1, 10, 11, 40, 41, 42, 90, 100])
@pytest.mark.parametrize("first", [10, 11, 12, 41, 99, 100])
def test_it_is_the_first_that_does(first, guess):
    assert smallest(Trials(first), [guessed(guess)]) == [first]


def test_several_are_searched_at_once():
    trials = Trials(10, 41, 77, 100)
    assert smallest(trials, [guessed(guess) for guess in (50, 41, 0, 99)]) == [10, 41, 77, 100]
    assert len(trials.tried) == len(set(trials.tried))


def test_nothing_does():
    assert smallest(Trials(10, 101), [guessed(20), guessed(20)]) is None


@pytest.mark.parametrize(("first", "guess", "most"), [(1000, 1000, 3), (64, 90_000, 1), (1000, 0, 22)])
def test_few_numbers_are_tried(first, guess, most):
    trials = Trials(first)
    assert smallest(trials, [guessed(guess, 64, 65_535)]) == [first]
    assert len(trials.tried) <= most
    assert first == 64 or {(first - 1,), (first,)} <= set(trials.tried)


def test_one_trial_is_enough_for_all_that_do_at_once():
    trials = Trials(*[64] * 21)
    assert smallest(trials, [guessed(0, 64, 65_535)] * 21) == [64] * 21
    assert len(trials.tried) == 1
