# SPDX-License-Identifier: BSD-3-Clause
"""Where the engine's memory lies: drawn from a seed, and never so that two hot lines evict each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

LINE, PAGE, WINDOW = 64, 4096, 1 << 20

#: Three actors, three pools and two queues.
WORKLOAD = """\
pools: {a: {object_size: 64, objects: 500}, b: {object_size: 24, objects: 500}, c: {object_size: 8, objects: 500}}
queues: {q: {capacity: 64}, r: {capacity: 64}}
actors:
  first: [{get: {from: a, n: 8}}, {send: {to: q}}]
  second: [{receive: {from: q}}, {send: {to: r}}]
  third:
    - receive: {from: r}
    - {get: {from: [b, c], n: 4, size: {cycle: [24, 8]}}}
    - {touch: {bytes: 8, how: write}}
    - put: {which: random, n: 2}
    - put: all
"""


def pieces(layout: dict[str, Any], actor: int | None = None) -> list[dict[str, Any]]:
    """Of one actor, or of all and what they share."""
    if actor is not None:
        return list(layout["actors"][actor]["pieces"])
    return layout["shared"] + [piece for each in layout["actors"] for piece in each["pieces"]]


def drawn(layout: dict[str, Any]) -> Any:
    """What a seed decides."""
    offsets = [(p["what"], p["index"], p["offset"]) for p in pieces(layout) if p["what"] not in ("stack", "handle")]
    return offsets, [pool["name"] for pool in layout["pools"]]


def hot_lines(layout: dict[str, Any], actor: int) -> Iterator[int]:
    """Addresses of the lines that an actor touches while it measures, as far as the L1 cache can hold them."""
    for piece in layout["shared"] + pieces(layout, actor):
        first, size = piece["address"], piece["bytes"]
        if piece["what"] == "frame":  # a stack grows downwards
            first, size = first - PAGE, PAGE + 512
        if piece["what"] not in ("stack", "handle") and size <= 32 << 10:
            yield from range(first // LINE * LINE, first + max(size, 1), LINE)


def place_in_cache(line: int) -> tuple[int, int]:
    """The set of a line, and the hash by which AMD's Zen predicts its way."""
    pairs = [(12, 27), (13, 26), (14, 25), (15, 20), (16, 21), (17, 22), (18, 23), (19, 24)]
    return line >> 6 & 63, sum((line >> low & 1 ^ line >> high & 1) << i for i, (low, high) in enumerate(pairs))


@pytest.fixture
def layout(start):
    """``layout(seed)`` of a running engine."""
    return lambda seed: start(WORKLOAD, pin=False, layout_seed=seed).layout()


def test_a_layout_is_told_as_json(layout):
    told = layout(7)
    assert json.loads(json.dumps(told)) == told
    assert told["seed"] == 7
    assert [actor["name"] for actor in told["actors"]] == ["first[0]", "second[0]", "third[0]"]
    assert sorted(pool["name"] for pool in told["pools"]) == ["a", "b", "c"]
    assert all(address > 0 for address in told["backend"].values())
    assert {"flags", "queue", "slots"} == {piece["what"] for piece in told["shared"]}
    assert {"stack", "frame", "interpreter", "body", "pools", "ring", "indices", "handle", "floor"} <= {
        piece["what"] for piece in pieces(told, 2)
    }
    rings = [piece["index"] for piece in pieces(told, 2) if piece["what"] == "ring"]
    assert rings == [0, 1, 2]  # of pools


def test_a_seed_draws_the_same_every_time(layout):
    fixed, one, two = (drawn(layout(seed)) for seed in (0, 1, 2))
    assert [drawn(layout(seed)) for seed in (0, 1, 2)] == [fixed, one, two]
    assert len({repr(each) for each in (fixed, one, two)}) == 3
    assert fixed[1] == ["a", "b", "c"]


def test_offsets_are_lines_of_a_page(layout):
    seen = set()
    for seed in range(1, 30):
        for piece in pieces(layout(seed)):
            assert piece["offset"] == piece["address"] % PAGE
            if piece["what"] not in ("stack", "frame", "handle"):
                assert piece["offset"] % LINE == 0
                seen.add(piece["offset"] // LINE)
    assert seen == set(range(64))


@pytest.mark.parametrize("seed", range(12))
def test_no_two_hot_lines_evict_each_other(layout, seed):
    told = layout(seed)
    for actor in range(3):
        lines = set(hot_lines(told, actor))
        assert len(lines) > 100
        assert len({place_in_cache(line) for line in lines}) == len(lines)


def test_actors_run_on_the_stacks_of_their_arenas(layout):
    for seed in (0, 1, 2):
        told = layout(seed)
        for actor in range(3):
            at = {piece["what"]: piece for piece in pieces(told, actor)}
            stack, frame = at["stack"], at["frame"]["address"]
            assert stack["address"] < frame < stack["address"] + stack["bytes"]
            assert frame // WINDOW == at["interpreter"]["address"] // WINDOW


def test_pools_work_in_every_order(start):
    orders = set()
    for seed in range(30):
        running = start(WORKLOAD, pin=False, layout_seed=seed)
        order = tuple(pool["name"] for pool in running.layout()["pools"])
        if order not in orders:
            orders.add(order)
            verifying = start(WORKLOAD, pin=False, layout_seed=seed, verify=True)
            assert verifying.sample(1).objects == running.sample(1).objects > 0
    assert len(orders) == 6


def test_a_large_live_set_works(start):
    running = start("actors: {w: [{get: {from: p, n: 4000}}, {put: {which: random, n: 4000}}]}\n", verify=True)
    assert running.sample(3).objects == 12_000
