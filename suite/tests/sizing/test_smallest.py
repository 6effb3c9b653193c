# SPDX-License-Identifier: BSD-3-Clause
"""The search finds the first number that does, and a good guess saves it trials."""

from __future__ import annotations

import pytest

from allocmark.sizing.smallest import smallest


@pytest.mark.parametrize("guess", [0, 1, 10, 11, 40, 41, 42, 90, 100])
@pytest.mark.parametrize("first", [10, 11, 12, 41, 99, 100])
def test_it_is_the_first_that_does(first, guess):
    assert smallest(lambda n: n >= first, 10, guess, 100) == first


def test_nothing_does():
    assert smallest(lambda n: False, 10, 20, 100) is None


@pytest.mark.parametrize(("first", "guess", "most"), [(1000, 1000, 3), (64, 90_000, 1), (1000, 0, 22)])
def test_few_numbers_are_tried(first, guess, most):
    tried = []
    assert smallest(lambda n: tried.append(n) or n >= first, 64, guess, 65_535) == first
    assert len(tried) <= most
    assert first == 64 or {first - 1, first} <= set(tried)
