# SPDX-License-Identifier: BSD-3-Clause
"""Histograms of timed calls and their percentiles."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from allocmark.passes.latency import Latency, LatencyPass, enough, percentile
from allocmark.results.records import RecordError, typed


def reply(get: list[list[float]], put: list[list[float]], ns: float = 1.0) -> dict[str, Any]:
    return {
        "ns": ns,
        "clock_ns": 20.0,
        "resolution_ns": 10.0,
        "get": {"every": 7, "buckets": get},
        "put": {"every": 9, "buckets": put},
    }


@pytest.mark.parametrize("name", ["50", "99", "99.9"])
def test_percentiles_are_those_of_the_sorted_calls(name):
    rng = random.Random(3)
    calls = sorted(rng.choice([10.0, 20.0, 30.0, 1000.0, 5e6]) for _ in range(20_001))
    buckets = [(ns, calls.count(ns)) for ns in sorted(set(calls))]
    at = percentile(buckets, name)
    share = float(name) / 100
    assert at is not None
    assert sum(ns <= at for ns in calls) >= share * len(calls) > sum(ns < at for ns in calls)


def test_a_percentile_needs_ten_calls_beyond_it():
    assert [enough(name) for name in ("50", "99", "99.9", "99.99")] == [20, 1000, 10_000, 100_000]
    assert percentile([(5.0, 9_999)], "99.9") is None
    assert percentile([(5.0, 10_000)], "99.9") == 5.0
    assert percentile([], "50") is None


def test_blocks_are_merged_without_those_set_aside():
    replies = {
        0: reply([[10.0, 900], [30.0, 200]], [[5.0, 30]], 1.5),
        1: reply([[10.0, 1], [9e9, 5000]], [[9e9, 30]]),  # the distance changed in it
        2: reply([[10.0, 1000]], [[5.0, 10], [8.0, 5]], 2.5),
    }
    record = LatencyPass().merge(replies, {0, 2})["latency"]
    latency = typed(Latency, json.loads(json.dumps(record)))
    assert latency.get.buckets == [(10.0, 1900), (30.0, 200)]
    assert (latency.get.count, latency.get.max_ns, latency.get.every) == (2100, 30.0, 7)
    assert latency.get.percentiles == {"50": 10.0, "99": 30.0, "99.9": None, "99.99": None}
    assert latency.get.blocks["99"] == [30.0, None, 10.0]
    assert latency.put.buckets == [(5.0, 40), (8.0, 5)]
    assert latency.put.blocks["50"] == [5.0, None, None]  # 15 calls are too few
    assert latency.ns_per_object == [1.5, 2.5]


def test_nothing_measured_is_nothing():
    assert LatencyPass().merge({}, {0}) == {}
    assert LatencyPass().merge({0: reply([[1.0, 1]], [])}, set()) == {}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda r: r.pop("get"), 'missing required field "get"'),
        (lambda r: r["put"].update(buckets=[[1]]), r"put.buckets\[0\]: expected a list of length 2, got 1"),
        (lambda r: r["put"].update(buckets=[[1.5, -1]]), "put: buckets or blocks hold numbers that are not from 0"),
        (lambda r: r.update(clock_ns=None), "clock_ns: expected a number, got null"),
        (lambda r: r.update(clock_ns=-1), "clock_ns is -1, expected a number from 0"),
    ],
)
def test_a_damaged_record_is_refused(spoil, said):
    record = json.loads(json.dumps(LatencyPass().merge({0: reply([[10.0, 900]], [[5.0, 30]])}, {0})["latency"]))
    spoil(record)
    with pytest.raises(RecordError, match=said):
        typed(Latency, record)


def test_the_histograms_of_rounds_are_added_up():
    def record(get, put, ns):
        return typed(Latency, LatencyPass().merge({0: reply(get, put, ns)}, {0})["latency"])

    rounds = {2: record([[10.0, 900]], [[5.0, 30]], 1.5), 5: record([[10.0, 100], [30.0, 200]], [[4.0, 1]], 2.5)}
    found = LatencyPass().combine(rounds)
    assert found.get.buckets == [(10.0, 1000), (30.0, 200)]
    assert found.put.buckets == [(4.0, 1), (5.0, 30)]
    assert found.get.percentiles["99"] == 30.0
    assert found.get.blocks["50"] == [10.0, 30.0]
    assert found.put.blocks["50"] == [5.0, None]
    assert found.ns_per_object == [1.5, 2.5]
    assert typed(Latency, json.loads(json.dumps(LatencyPass().document(found)))) == found
