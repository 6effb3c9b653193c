# SPDX-License-Identifier: BSD-3-Clause
"""Waiting for CPUs that are as fast as they were. What they are like is given, as no test can make a neighbour."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, repeat

import pytest

from allocmark.measuring.cpu_watch import CpuState, CpuWatch

FREE, SHARED = 18.0, 34.0


def watch_of(paces: Iterable[float], spent: float = 30.0) -> CpuWatch:
    found = iter(paces)
    return CpuWatch(pace=lambda _: next(found), distance=lambda a, b: 60.0 + b - a, spent=spent)


def never() -> bool:
    return False


def not_told(_: str) -> None:
    pytest.fail("it waits")


def test_the_slowest_cpu_and_the_farthest_pair_are_told() -> None:
    found = watch_of([FREE, SHARED, FREE]).look([0, 2, 5])
    assert (found.distance, found.pace) == (65.0, SHARED)
    assert watch_of([FREE]).look([3]) == CpuState(None, (FREE,))
    assert watch_of([]).look([]).pace is None


def test_what_is_fast_is_not_looked_at_again() -> None:
    watch = watch_of([FREE])
    last = watch.look([0])
    assert watch.wait([0], last, never, not_told) is last
    assert watch.waited == 0


def test_it_waits_until_the_cpu_is_as_fast_as_it_was() -> None:
    told: list[str] = []
    watch = watch_of([FREE, SHARED, *[SHARED] * 5, FREE * 1.1, FREE])
    watch.look([0])
    assert watch.wait([0], watch.look([0]), never, told.append).pace == FREE
    assert told == ["waiting for a CPU that is slower than it was"]
    assert watch.waited > 0


def test_it_waits_until_all_of_them_are_fast_at_one_time() -> None:
    # A look at both; then in turn: the first is fast, then slow again while the second is not yet.
    watch = watch_of([FREE, FREE, SHARED, SHARED, FREE, SHARED, SHARED, FREE, FREE, FREE, FREE, FREE])
    watch.look([0, 1])
    assert watch.wait([0, 1], watch.look([0, 1]), never, lambda _: None).paces == (FREE, FREE)


def test_it_waits_for_a_third_of_the_time_at_most() -> None:
    watch = watch_of(chain([FREE], repeat(SHARED)), spent=0.3)
    watch.look([0])
    assert watch.wait([0], watch.look([0]), never, lambda _: None).pace == SHARED
    assert 0.1 < watch.waited < 0.3


def test_a_cpu_that_stays_slow_is_not_waited_for_until_it_was_fast_again() -> None:
    now = {0: FREE}
    watch = CpuWatch(pace=lambda cpu: now[cpu], spent=0.1)
    watch.look([0])
    now[0] = SHARED
    watch.wait([0], watch.look([0]), never, lambda _: None)
    watch.spent = 1000.0
    assert watch.wait([0], watch.look([0]), never, not_told).pace == SHARED
    now[0] = FREE
    watch.look([0])
    now[0] = SHARED
    told: list[str] = []
    watch.wait([0], watch.look([0]), lambda: bool(told), told.append)
    assert told


@pytest.mark.parametrize(("spent", "stopping"), [(0.0, False), (30.0, True)])
def test_it_does_not_wait_at_first_nor_when_the_run_is_to_stop(spent: float, stopping: bool) -> None:
    watch = watch_of([FREE, SHARED, SHARED], spent)
    watch.look([0])
    assert watch.wait([0], watch.look([0]), lambda: stopping, not_told).pace == SHARED


def test_another_cpu_takes_the_place_of_one_that_is_slow() -> None:
    now = {0: FREE, 1: SHARED, 2: FREE, 3: FREE * 2}
    watch = CpuWatch(pace=now.__getitem__)
    assert watch.choose(0, lambda: pytest.fail("it looks at others")) == 0
    now[0] = SHARED
    assert watch.choose(0, lambda: [1, 3, 2]) == 2
    assert watch.choose(0, lambda: [1, 3]) == 0  # none is as fast as it was
    watch.wait([0], watch.look([0]), never, not_told)  # in vain
    assert watch.choose(0, lambda: [1, 3, 2]) == 2


def test_a_cpu_that_may_not_be_used_any_more_is_not_known() -> None:
    def gone(_: int) -> float:
        raise OSError("no CPU")

    watch = CpuWatch(pace=gone)
    assert watch.look([0]) == CpuState(None, ())
    assert watch.choose(0, lambda: [1]) == 0
    watch = watch_of([FREE, SHARED])
    watch.look([0])
    slow = watch.look([0])
    watch.pace = gone  # while it is waited for
    assert watch.wait([0], slow, never, lambda _: None) == CpuState(None, ())


def test_a_change_is_one_beyond_the_tolerance() -> None:
    assert CpuState(60.0, (FREE,)).same(CpuState(70.0, (FREE * 1.1,)))
    assert not CpuState(60.0, (FREE,)).same(CpuState(60.0, (SHARED,)))
    assert not CpuState(60.0, (FREE,)).same(CpuState(600.0, (FREE,)))
    assert CpuState(None, ()).same(CpuState(None, ()))
