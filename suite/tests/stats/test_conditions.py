# SPDX-License-Identifier: BSD-3-Clause
"""Which blocks are kept, by their core-to-core distance and the speed of their CPUs."""

from __future__ import annotations

from random import Random

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


def at_paces(*paces: float) -> list[Block]:
    """A round for each."""
    return [Block(None, False, number, pace) for number, pace in enumerate(paces)]


def test_the_fastest_pace_is_kept_where_a_third_of_the_rounds_had_it() -> None:
    found = stats.usual_conditions(at_paces(45.0, 22.0, 47.0, 44.0, 21.0, 50.0))
    assert (found.pace_ns, found.kept, found.other) == (21.5, {1, 4}, 4)


def test_a_pace_that_few_rounds_had_is_not_preferred() -> None:
    assert stats.usual_conditions(at_paces(45.0, 22.0, 47.0, 44.0, 46.0, 50.0)).kept == {0, 2, 3, 4, 5}


def test_a_pace_counts_by_rounds_that_keep_a_quarter_of_their_blocks() -> None:
    # In each round one block of five is fast: no round would be left.
    shared = [Block(None, False, number, pace) for number in range(4) for pace in (22.0, 45.0, 46.0, 45.0, 46.0)]
    found = stats.usual_conditions(shared)
    assert (found.pace_ns, len(found.kept)) == (45.5, 16)
    one_of_four = [block for index, block in enumerate(shared) if index % 5 < 4]
    assert stats.usual_conditions(one_of_four).kept == {0, 4, 8, 12}


def test_groups_of_paces_are_those_about_their_middle() -> None:
    # 20 is near 22 only, 22 is near all.
    assert stats.usual_conditions(at_paces(20.0, 22.0, 25.0, 24.5)).kept == {0, 1, 2, 3}


@given(st.lists(st.floats(20, 24), min_size=4, max_size=30), st.lists(st.floats(42, 50), max_size=8), st.randoms())
def test_a_changing_share_of_shared_cores_changes_no_figure(
    free: list[float], shared: list[float], random: Random
) -> None:
    """A third and more of the rounds is as fast as it was: whatever else there was, these and only these are kept."""
    paces = [*free, *shared]
    random.shuffle(paces)
    kept = stats.usual_conditions(at_paces(*paces)).kept
    assert sorted(paces[index] for index in kept) == sorted(free)


def test_the_pace_counts_among_blocks_of_the_usual_distance() -> None:
    seen = ((600.0, 9.6), (600.0, 9.6), (58.0, 9.6), (58.0, 16.0), (58.0, 15.9))
    alike = [Block(distance, False, index, pace) for index, (distance, pace) in enumerate(seen)]
    found = stats.usual_conditions(alike)
    assert found.kept == {3, 4}


def test_runs_are_compared_at_one_pace_as_far_as_it_is_known() -> None:
    assert stats.same_pace(9.6, 10.0)
    assert stats.same_pace(None, 10.0)
    assert not stats.same_pace(9.6, 15.0)
