# SPDX-License-Identifier: BSD-3-Clause
"""The native engine through its Python face, on the floor and in this process."""

from __future__ import annotations

import math
import time

import pytest

from allocmark.engine import core_distance, core_pace, null_table, table_problem
from allocmark.engine._engine import ffi
from allocmark.engine.session import Engine
from allocmark.errors import EngineError
from allocmark.passes.latency import LatencyPass
from allocmark.system import machine

pytestmark = pytest.mark.alone

CPUS = machine.usable_cpus()
LONER = "actors: {w: [{get: {from: p, n: 8}}, {put: all}]}\n"


def test_a_sample_counts_what_the_workload_says(start):
    running = start(LONER)
    sample = running.sample(1000)
    assert sample.objects == 8000
    assert sample.elapsed_ns > 0
    assert sample.wall_ns == sample.elapsed_ns  # none is idle
    assert sample.ns_per_object == pytest.approx(sample.elapsed_ns / 8000)
    assert sample.actors[0].cpu == CPUS[0]
    assert sample.actors[0].failed_gets == 0


def test_touch_really_writes(start):
    running = start("actors: {w: [{get: {from: p, n: 4}}, {touch: {bytes: 40, how: write}}, {put: all}]}\n")
    addresses = set(running.objects(0))
    assert len(addresses) >= 4
    for address in addresses:
        ffi.buffer(ffi.cast("char *", address), 256)[:] = b"\x55" * 256
    running.sample(3)
    touched = [ffi.buffer(ffi.cast("char *", address), 256)[:] for address in addresses]
    assert any(memory[:40] != b"\x55" * 40 for memory in touched)
    assert all(memory[40:] == b"\x55" * 216 for memory in touched)


def test_calls_are_timed(start):
    running = start(LONER)
    sample, gets, puts = running.time_calls(1000, 1, 1)
    assert sample.objects == 8000
    for histogram in (gets, puts):
        assert sum(count for _, count in histogram) == 1000
        assert [ns for ns, _ in histogram] == sorted(ns for ns, _ in histogram)
    slowest = gets[-1][0] + puts[-1][0]
    assert 0 < slowest < 2 * sample.elapsed_ns


def test_how_often_calls_are_timed_follows_from_what_the_clock_costs(start):
    running = start(LONER)
    sample = LatencyPass().start(running, None, ())
    first, second = sample(200_000), sample(200_000)
    every = first["get"]["every"]
    assert second["get"]["every"] == every > 5  # a get of the floor takes less than reading the clock
    assert sum(count for _, count in second["get"]["buckets"]) == pytest.approx(200_000 / every, rel=0.3)


def test_a_trace_tells_what_changed_hands(start):
    running = start(
        "queues: {q: {capacity: 64}}\nactors:\n  rx: [{get: {from: p, n: 4}}, {send: {to: q}}]\n"
        "  tx: [{receive: {from: q}}, {put: all}]\n",
        pin=False,
    )
    events = running.trace(10, 8, 1000)
    gets = [address for address, actor, _, put in events if not put and actor == 0]
    puts = [address for address, actor, _, put in events if put and actor == 1]
    assert len(gets) == 10 * 4 - 8
    assert len(gets) + len(puts) == len(events)
    assert set(gets) <= set(puts) | set(gets[-4:])  # the last ones may still be on their way


def test_a_moved_engine_goes_on_elsewhere(start):
    running = start("actors: {w: [{get: {from: p, n: 4}}, {hold: {objects: 64, release: oldest}}]}\n", layout_seed=7)
    before = running.layout()
    held = len(running.objects(0))
    running.move(8)
    after = running.layout()
    assert after["pools"] == before["pools"]
    assert [piece["address"] for piece in after["actors"][0]["pieces"]] != [
        piece["address"] for piece in before["actors"][0]["pieces"]
    ]
    assert len(running.objects(0)) == held >= 64  # the live set is there again
    assert running.sample(100).objects == 400


def test_threads_that_are_succeeded_move(start):
    running = start(
        "actors: {w: {threads_end: true, steps: [{get: {from: p, n: 4}}, {hold: {objects: 64, release: random}}]}}\n",
        layout_seed=7,
    )
    held = len(running.objects(0))
    for seed in range(8, 12):
        running.move(seed)
        assert len(running.objects(0)) == held >= 64
        assert running.sample(100).objects == 100 * running.sample(1).objects


def test_a_replay_moves(start):
    running = start(LONER, layout_seed=7)
    replay = running.replay(100, 1000)
    before = replay.layout()
    replay.move(8)
    assert replay.layout()["actors"] != before["actors"]
    assert replay.sample(100).objects == 800
    replay.drain()
    replay.close()


def test_a_trace_does_not_pause(start):
    running = start("actors: {w: [{get: {from: p, n: 4}}, {put: all}, {idle: {ns: 100000000}}]}\n")
    begun = time.monotonic()
    assert len(running.trace(1000, 0, 10_000)) == 8000
    assert time.monotonic() - begun < 10


def test_a_sample_that_takes_too_long_is_ended(start):
    running = start(LONER, limit_seconds=0.02)
    begun = time.monotonic()
    assert 0 < running.sample(1 << 40).objects < 8 << 40
    assert time.monotonic() - begun < 10


def test_idle_time_is_taken_off(start):
    running = start("actors: {w: [{get: {from: p, n: 4}}, {put: all}, {idle: {ns: 1000000}}]}\n")
    begun = time.monotonic_ns()
    sample = running.sample(50)
    wall = time.monotonic_ns() - begun
    assert wall >= 50_000_000
    assert sample.elapsed_ns < wall / 2
    assert 50_000_000 <= sample.wall_ns < wall
    assert sample.actors[0].idle_ns == sample.wall_ns - sample.elapsed_ns


@pytest.mark.parametrize(("senders", "receivers"), [(1, 1), (1, 2), (2, 1), (3, 2)])
@pytest.mark.parametrize("n", [1, 7, 32])
def test_queues_lose_nothing(start, senders, receivers, n):
    """More actors than cores, free to move: every object sent is received, or the run would not come to an end."""
    running = start(
        "queues: {q: {capacity: 64}}\nactors:\n"
        f"  rx: {{count: {senders}, steps: [{{get: {{from: p, n: {n}}}}}, {{send: {{to: q}}}}]}}\n"
        f"  tx: {{count: {receivers}, steps: [{{receive: {{from: q}}}}, {{put: all}}]}}\n",
        pin=False,
        stall_seconds=20,
    )
    for _ in range(3):
        sample = running.sample(300)
        assert sample.objects == 300 * n * senders * (receivers // math.gcd(senders, receivers))
        assert len(sample.actors) == senders + receivers


def test_actors_side_by_side_show_the_cost_of_one(start):
    """Two independent actors stop together, and their figure is the time of a core, not of the machine."""
    running = start("actors: {w: {count: 2, steps: [{get: {from: p, n: 8}}, {put: all}]}}\n", pin=False)
    sample = running.sample(20000)
    first, second = sample.actors
    assert sample.ns_per_object == pytest.approx((first.ns + second.ns) / (first.objects + second.objects))
    assert max(first.objects, second.objects) == 160000  # the one that was done first


def test_a_cpu_that_does_not_exist_is_an_error(compiled):
    with pytest.raises(EngineError, match="cannot pin an actor to CPU 1000"):
        Engine(null_table(), {}, compiled(LONER), [(1000, -1)])
    ending = compiled("actors: {w: {threads_end: true, steps: [{get: {from: p, n: 8}}, {put: all}]}}\n")
    with pytest.raises(EngineError, match="cannot pin an actor to CPU 1000"):
        Engine(null_table(), {}, ending, [(1000, -1)])


@pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPUs")
def test_threads_that_end_are_on_the_cpu_of_their_actor(start):
    text = "actors: {w: {count: 2, threads_end: true, steps: [{get: {from: p, n: 8}}, {put: all}]}}\n"
    running = start(text)
    for _ in range(20):
        assert [actor.cpu for actor in running.sample(20).actors] == list(CPUS[:2])


def test_the_floor_has_a_good_table():
    assert table_problem(null_table()) is None


def test_the_hand_written_loop_runs_on_the_engines_pool(start):
    running = start(LONER)
    assert 0 < running.reference_burst(8, 8, 64, 1000) < 100_000
    assert running.sample(10).objects == 80


@pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPUs")
def test_core_distance_is_a_time():
    assert 1 < core_distance(CPUS[0], CPUS[1]) < 1e7


def test_core_pace_is_a_time():
    assert 1 < core_pace(CPUS[0]) < 1e6


def test_core_pace_refuses_what_is_not_there():
    with pytest.raises(OSError, match="the speed of CPU 1000 cannot be measured"):
        core_pace(1000)


def test_core_distance_refuses_what_is_not_there():
    with pytest.raises(OSError, match="no core-to-core probe"):
        core_distance(0, 0)
    with pytest.raises(OSError, match="no core-to-core probe"):
        core_distance(0, 1000)
