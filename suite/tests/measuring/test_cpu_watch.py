# SPDX-License-Identifier: BSD-3-Clause
"""Waiting for CPUs that are as fast as they were. What they are like is given, as no test can make a neighbour."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from allocmark.measuring.cpu_watch import CpuState, CpuWatch

FREE, SHARED = 18.0, 34.0


def watch_of(paces: Iterator[float], spent: float = 30.0) -> CpuWatch:
    return CpuWatch(pace=lambda _: next(paces), distance=lambda a, b: 60.0 + b - a, spent=spent)


def never() -> bool:
    return False


def test_the_slowest_cpu_and_the_farthest_pair_are_told() -> None:
    assert watch_of(iter([FREE, SHARED, FREE])).look([0, 2, 5]) == CpuState(65.0, SHARED)
    assert watch_of(iter([FREE])).look([3]) == CpuState(None, FREE)
    assert watch_of(iter([])).look([]) == CpuState(None, None)


def test_it_waits_until_the_cpu_is_as_fast_as_it_was() -> None:
    told: list[str] = []
    watch = watch_of(iter([FREE, SHARED, SHARED, FREE * 1.1, FREE]))
    watch.look([0])
    assert watch.wait([0], never, told.append).pace == FREE
    assert told == ["waiting for a CPU that is slower than it was"] * 2
    assert watch.waited > 0


def test_it_waits_for_a_third_of_the_time_at_most() -> None:
    paces = iter([FREE, *[SHARED] * 1000])
    watch = watch_of(paces, spent=0.3)
    watch.look([0])
    assert watch.wait([0], never, lambda _: None).pace == SHARED
    assert 0.1 < watch.waited < 0.3


def test_a_cpu_that_stays_slow_is_not_waited_for_again() -> None:
    watch = watch_of(iter([FREE, *[SHARED] * 1000]), spent=0.1)
    watch.look([0])
    watch.wait([0], never, lambda _: None)
    watch.spent = 1000.0
    watch.wait([0], never, lambda _: pytest.fail("it waits"))


@pytest.mark.parametrize(("spent", "stopping"), [(0.0, False), (30.0, True)])
def test_it_does_not_wait_at_first_nor_when_the_run_is_to_stop(spent: float, stopping: bool) -> None:
    watch = watch_of(iter([FREE, SHARED, SHARED]), spent)
    watch.look([0])
    assert watch.wait([0], lambda: stopping, lambda _: pytest.fail("it waits")).pace == SHARED


def test_another_cpu_takes_the_place_of_one_that_is_slow() -> None:
    now = {0: FREE, 1: SHARED, 2: FREE, 3: FREE * 2}
    watch = CpuWatch(pace=now.__getitem__)
    assert watch.choose(0, lambda: pytest.fail("it looks at others")) == 0
    now[0] = SHARED
    assert watch.choose(0, lambda: [1, 3, 2]) == 2
    assert watch.choose(0, lambda: [1, 3]) == 0  # none is as fast as it was


def test_a_change_is_one_beyond_the_tolerance() -> None:
    assert CpuState(60.0, FREE).same(CpuState(70.0, FREE * 1.1))
    assert not CpuState(60.0, FREE).same(CpuState(60.0, SHARED))
    assert not CpuState(60.0, FREE).same(CpuState(600.0, FREE))
    assert CpuState(None, None).same(CpuState(None, None))
