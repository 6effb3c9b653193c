# SPDX-License-Identifier: BSD-3-Clause
"""Every handler on both kinds of pages, by its table; with several threads: test_conformance.py."""

from __future__ import annotations

import pytest
from allocmark_dpdk import plugin

pytestmark = pytest.mark.alone

HANDLERS = [handler.name for handler in [*plugin._HANDLERS, plugin._TURBOMEM]]
START, STOP = ["init", "create"], ["facts", "destroy", "fini"]

pages_of_both_kinds = pytest.mark.parametrize("pages", ["hugetlb", "base"])


@pages_of_both_kinds
@pytest.mark.parametrize("handler", HANDLERS)
def test_one_thread_gets_every_object_once(cell, handler, pages):
    seen = cell(handler, pages, [*START, "available", "exhaust", *STOP])
    made = int(seen["pool_facts"]["objects"])
    assert seen["available"] == [made, made]
    assert (made == 4095) if handler != "bucket" else (4095 <= made < 4095 + 64)
    found = seen["exhaust"]
    assert found["taken"] == made
    assert len(found["refusals"]) == 2
    assert max(found["refusals"]) < 0
    assert seen["the last one stayed"]
    assert (found["apart"], found["aligned"], found["inside"]) == (True, True, True)
    assert seen["pool_facts"]["handler"] == handler


@pages_of_both_kinds
@pytest.mark.parametrize(
    ("objects", "size"), [(1, 1900), (2, 193), (63, 2000), (64, 3900), (127, 1000), (1024, 900), (3000, 250)]
)
def test_bucket_serves_awkward_geometries(cell, objects, size, pages):
    """Without a cache, which would hide that it hands out an object again only with its whole block."""
    seen = cell(
        *("bucket", pages, [*START, "exhaust", *STOP]),
        spec={"objects": objects, "object_size": size, "cache": 0},
    )
    made = int(seen["pool_facts"]["objects"])
    assert made >= objects
    assert seen["available"] == [made]
    assert seen["exhaust"]["taken"] >= objects


@pytest.mark.parametrize("handler", HANDLERS)
def test_trips_are_calls_to_the_handler(cell, handler):
    seen = cell(handler, "base", [*START, "count_trips", "available", *STOP], spec={"cache": 64})
    if (
        seen["pool_facts"]["cache"] == "96"
    ):  # a get of more than there is brings 64 more; a put beyond 96 sends all away
        gets = [[1, 64], [1, 32], [1, 0], [2, 64], [2, 32], [2, 0]]
        puts = [[2, 32], [2, 64], [2, 96], [3, 32], [3, 64], [3, 96]]
        assert seen["trips"] == gets + puts
    else:  # DPDK 26.07 has another cache
        trips = [each for each, _ in seen["trips"]]
        assert trips == sorted(trips)
        assert 2 <= trips[-1] <= 12
    assert seen["pool_facts"]["handler"] == handler
    assert seen["available"] == [int(seen["pool_facts"]["objects"])]


def test_without_a_cache_each_call_is_a_trip(cell):
    seen = cell("stack", "base", [*START, "count_trips", *STOP], spec={"cache": 0})
    assert seen["trips"] == [[n, 0] for n in range(1, 13)]


def test_two_threads_enter_and_leave_many_times(cell):
    """An lcore that is not given back would run out after some 127 threads."""
    seen = cell("ring_mp_mc", "base", [*START, "come_and_go", *STOP])
    assert seen["pool_facts"]["available"] == "4095"
    assert seen["process_facts"]["lcores"] == "0"


def test_facts_are_read_back(cell):
    seen = cell("stack", "base", [*START, *STOP])
    assert seen["pool_facts"] | {"element_bytes": "", "cache": ""} == {
        "handler": "stack",
        "objects": "4095",
        "element_bytes": "",
        "cache_size": "256",
        "cache": "",
        "memory_chunks": "1",
        "available": "4095",
        "page_kb": "4",
    }
    assert int(seen["pool_facts"]["element_bytes"]) >= 2176
    assert int(seen["pool_facts"]["cache"]) >= 256
    assert seen["process_facts"]["version"].startswith("DPDK ")
    assert seen["affinity_kept"] is True
