# SPDX-License-Identifier: BSD-3-Clause
"""Trips to shared state, and what is stranded: counted, in three life-cycles of objects."""

from __future__ import annotations

import pytest
import trips

from allocmark.errors import AllocmarkError

COUNTS_EVEN_OUT = 1.04  #: counting may begin when one cache has just been filled, and some objects are held at its end


class HalfAtATime:
    """A cache of one array, as DPDK's mempool has it from 26.07 on: it takes and gives half of its size at a time, and
    what is more than that goes past it."""

    def __init__(self, size: int) -> None:
        self.half, self.size = size // 2, size
        self.here = self.trips = self.got = 0

    def get(self, n: int) -> None:
        self.got += n
        if n > self.here:
            self.trips += 1
            rest = n - self.here
            self.here = self.half if rest <= self.half else rest
            n = rest
        self.here -= n

    def put(self, n: int) -> None:
        if self.here + n > self.size:
            self.trips += 1
            if n > self.half:
                return
            self.here -= self.half
        self.here += n


def half_at_a_time(cycle: str, cache: int, bulk: int) -> float:
    """Trips for each object."""
    gets, puts, held = HalfAtATime(cache), HalfAtATime(cache), 0
    if cycle == "same_core":
        puts = gets
    while gets.got < 1 << 16:
        if cycle == "same_core":
            while held < 512:
                gets.get(bulk)
                held += bulk
            for _ in range(8):
                gets.get(bulk)
                held += bulk
            while held > 512:
                puts.put(min(bulk, held - 512))
                held -= min(bulk, held - 512)
        else:
            gets.get(bulk)
            puts.put(bulk)
    return sum(each.trips for each in {gets, puts}) / gets.got


QUICK = {"caches": [64], "bulks": [8, 128]}


@pytest.mark.parametrize("asked", [QUICK, pytest.param({}, marks=pytest.mark.long)], ids=["some", "all"])
def test_trips_are_at_most_those_of_a_cache_that_moves_half_of_its_size(asked):
    """And a thread keeps what was asked for, and strands nothing."""
    counts = [*trips.counted([trips.OURS], **asked)]
    assert {each.cycle for each in counts} == set(trips.LIFE_CYCLES)
    for each in counts:
        most = half_at_a_time(each.cycle, each.cache, each.bulk)
        assert each.trips <= most * COUNTS_EVEN_OUT, (each, most)
        assert (each.keeps, each.stranded) == (each.cache, 0)


def test_trips_beside_those_of_every_dpdk_that_is_installed():
    """From 26.07 on its caches keep what they were asked for and move half of that. Those before keep half as much
    again, and move nearly all of it at once: beside them only what is stranded can be compared."""
    few = {"cycles": ["same_core", "two_cores"], "caches": [256], "bulks": [32]}
    try:
        theirs = [*trips.counted([trips.RIVALS], **few)]
    except AllocmarkError as error:
        pytest.skip(str(error))
    by_cycle = {each.cycle: each for each in trips.counted([trips.OURS], **few)}
    for rival in theirs:
        ours = by_cycle[rival.cycle]
        if rival.keeps == rival.cache:
            by_rule = half_at_a_time(rival.cycle, rival.cache, rival.bulk)
            assert rival.trips == pytest.approx(by_rule, rel=0.04, abs=2e-4)
            assert ours.trips <= rival.trips, (ours, rival)
        assert rival.stranded is None or ours.stranded <= rival.stranded
