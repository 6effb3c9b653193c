# SPDX-License-Identifier: BSD-3-Clause
"""Fast and slow processes: found where a gap separates them, and never in one cloud."""

from __future__ import annotations

import random

import pytest

from allocmark.stats import Modes, modes


def cloud(source: random.Random, n: int, level: float = 1.0, noise: float = 0.01) -> list[float]:
    return [level * (1 + source.gauss(0, noise)) for _ in range(n)]


def test_two_groups() -> None:
    source = random.Random(1)
    found = modes(cloud(source, 13) + cloud(source, 7, 1.5))
    assert found is not None
    assert (found.slow, found.n, round(found.factor, 1)) == (7, 20, 1.5)


def test_one_slow_process_of_many_counts() -> None:
    found = modes([*cloud(random.Random(2), 15), 2.0])
    assert found is not None
    assert (found.slow, found.n) == (1, 16)


@pytest.mark.parametrize(("noise", "most"), [(0.002, 0.0), (0.01, 0.0), (0.03, 0.002), (0.1, 0.03)])
def test_one_cloud_is_hardly_ever_two_groups(noise: float, most: float) -> None:
    said = [modes(cloud(random.Random(seed), 20, noise=noise)) for seed in range(500)]
    assert sum(each is not None for each in said) <= most * len(said)


def test_an_outlier_within_the_noise_is_none() -> None:
    # 1.15 is beyond the least factor, but the gap is no wider than others here.
    assert modes([0.8, 0.86, 0.92, 1.0, 1.08, 1.15, 1.3]) is None


def test_near_groups_are_one() -> None:
    assert modes([1.0] * 8 + [1.09] * 8) is None
    assert modes([1.0] * 8 + [1.11] * 8) == Modes(8, 16, pytest.approx(1.11))


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [0.0, -1.0, 1.0, 2.0]])
def test_fewer_than_three_costs_tell_nothing(values: list[float]) -> None:
    assert modes(values) is None


def test_identical_costs_are_one_group() -> None:
    assert modes([3.0] * 20) is None


def test_the_order_of_processes_does_not_matter() -> None:
    values = [1.0, 2.0, 1.01, 2.02, 0.99, 1.02]
    assert modes(values) == modes(sorted(values)) == modes(values[::-1])


@pytest.mark.parametrize("slow", [2, 6, 10])
@pytest.mark.parametrize("factor", [1.3, 2.0])
def test_slow_processes_are_found_among_noise(slow: int, factor: float) -> None:
    found = []
    for seed in range(200):
        source = random.Random(seed)
        found.append(modes(cloud(source, 20 - slow, noise=0.02) + cloud(source, slow, factor, 0.02)))
    assert sum(each is not None and each.slow == slow for each in found) >= 0.98 * 200
