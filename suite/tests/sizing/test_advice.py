# SPDX-License-Identifier: BSD-3-Clause
"""Which cache is advised, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from allocmark.sizing.advice import advice, knee
from allocmark.sizing.sized import Sized, SizedActor, SizedBackend, SizedPool, Traffic


def size(cache: int, get_trips: int, put_trips: int, smallest: int | None = 900) -> Sized:
    """10,000 objects go from one actor to another."""
    rx = SizedActor("rx", Traffic(312, 10_000, get_trips, 10_000), Traffic())
    tx = SizedActor("tx", Traffic(), Traffic(312, 10_000, put_trips, 10_000))
    pool = SizedPool("mbuf", 5000, 64, smallest, False, "")
    return Sized(cache, knows_trips=True, knows_cached=True, pools=[pool], actors=[rx, tx])


LADDER = [size(64, 300, 200), size(128, 150, 100), size(256, 75, 50), size(512, 30, 20)]


def test_figures_are_per_object():
    one = size(64, 300, 200)
    assert (one.gets.miss_rate, one.puts.miss_rate, one.trips_per_object) == (0.03, 0.02, 0.05)
    assert one.average_burst == 40.0
    assert one.pools[0].stranded == 836
    assert replace(one, knows_trips=False).trips_per_object is None
    assert replace(one, knows_cached=False).average_burst is None


def test_the_knee_saves_all_but_one_trip_in_a_hundred_objects():
    # 0.05, 0.025, 0.0125 and 0.005 trips per object.
    assert knee(LADDER).cache == 256
    assert knee([size(64, 50, 0), size(128, 0, 0)]).cache == 64
    assert knee([size(64, 300, 200), size(128, 300, 200)]).cache == 64


def test_there_is_no_knee_in_one_size_or_without_trips():
    assert knee(LADDER[:1]) is None
    assert knee([replace(each, knows_trips=False) for each in LADDER]) is None


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        (LADDER, "cache 256: one trip per 80 objects; pool ≥ 900; with 128, rx gets miss once per 67 objects."),
        (LADDER[2:], "cache 256: one trip per 80 objects; pool ≥ 900."),
        (
            [size(64, 500, 0), size(128, 0, 0)],
            "cache 128: no trips; pool ≥ 900; with 64, rx gets miss once per 20 objects.",
        ),
        (
            [replace(each, knows_trips=False) for each in LADDER[:2]],
            "cache 128: it does not say how often threads go to what they share; pool ≥ 900.",
        ),
        (
            [size(64, 0, 0, None)],
            "it takes any number of objects; at most 64 of mbuf are out at once.",
        ),
        ([Sized(64, refused="no"), *LADDER[2:]], "cache 256: one trip per 80 objects; pool ≥ 900."),
        ([Sized(64, refused="no")], ""),
    ],
)
def test_advice_is_one_sentence(sizes, said):
    assert advice(SizedBackend("b", sizes)) == said
