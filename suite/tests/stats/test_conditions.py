# SPDX-License-Identifier: BSD-3-Clause
"""Which blocks are kept, by their core-to-core distance and the speed of their CPUs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from allocmark import stats
from allocmark.results.records import Block


def blocks(*distances: float | None, changed: tuple[int, ...] = ()) -> list[Block]:
    return [Block(ns, index in changed) for index, ns in enumerate(distances)]


def test_one_core_has_no_distance_and_keeps_every_block() -> None:
    found = stats.usual_conditions(blocks(None, None, None))
    assert (found.distance_ns, found.kept, found.changed, found.other) == (None, {0, 1, 2}, 0, 0)


def test_the_commonest_distance_is_kept() -> None:
    found = stats.usual_conditions(blocks(600.0, 58.0, 60.0, 590.0, 57.0, 61.0, changed=(5,)))
    assert (found.distance_ns, found.kept, found.changed, found.other) == (58.0, {1, 2, 4}, 1, 2)


def test_a_far_distance_is_kept_when_it_is_the_commonest() -> None:
    assert stats.usual_conditions(blocks(600.0, 58.0, 610.0)).kept == {0, 2}


def test_of_two_equally_common_distances_the_nearer_is_kept() -> None:
    assert stats.usual_conditions(blocks(600.0, 58.0, 610.0, 59.0)).kept == {1, 3}


def test_a_block_whose_distance_is_not_known_is_not_kept_among_those_that_are() -> None:
    found = stats.usual_conditions(blocks(58.0, None, 60.0))
    assert (found.kept, found.other) == ({0, 2}, 1)


def test_nothing_is_left_when_every_block_changed() -> None:
    found = stats.usual_conditions(blocks(58.0, 60.0, changed=(0, 1)))
    assert (found.distance_ns, found.kept, found.changed) == (None, frozenset(), 2)


@given(st.lists(st.tuples(st.floats(1, 2000), st.booleans()), max_size=30))
def test_every_block_is_kept_or_counted(drawn: list[tuple[float, bool]]) -> None:
    given_blocks = [Block(ns, moved) for ns, moved in drawn]
    found = stats.usual_conditions(given_blocks)
    assert len(found.kept) + found.changed + found.other == len(drawn)
    assert not any(given_blocks[index].changed for index in found.kept)
    kept = [given_blocks[index].distance_ns or 0.0 for index in found.kept]
    # Each lies within a quarter of one centre.
    assert not kept or max(kept) <= min(kept) * 1.25**2 * (1 + 1e-9)


def test_blocks_on_a_shared_core_are_not_kept() -> None:
    paces = (9.6, 15.8, 9.5, 16.4, 9.6)
    found = stats.usual_conditions([Block(None, False, 0, pace) for pace in paces])
    assert (found.pace_ns, found.kept, found.other) == (9.6, {0, 2, 4}, 2)


def test_the_pace_counts_among_blocks_of_the_usual_distance() -> None:
    seen = ((600.0, 9.6), (600.0, 9.6), (58.0, 9.6), (58.0, 16.0), (58.0, 15.9))
    alike = [Block(distance, False, index, pace) for index, (distance, pace) in enumerate(seen)]
    found = stats.usual_conditions(alike)
    assert found.kept == {3, 4}


def test_runs_are_compared_at_one_pace_as_far_as_it_is_known() -> None:
    assert stats.same_pace(9.6, 10.0)
    assert stats.same_pace(None, 10.0)
    assert not stats.same_pace(9.6, 15.0)
