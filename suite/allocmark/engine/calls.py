# SPDX-License-Identifier: BSD-3-Clause
"""Times single calls of an engine, so seldom that the clock stays a small part of what runs."""

from __future__ import annotations

import math
from typing import Any

from allocmark.engine.session import Engine, clock_ns, clock_step_ns

CLOCK_SHARE = 0.05  #: of a sample's time, what reading the clock may take, for gets and puts together


class CallTiming:
    """Latency samples of one engine. How many calls lie between two that are timed is found out once, for gets and for
    puts, and stays."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._every: tuple[int, int] | None = None

    def sample(self, units: int) -> dict[str, Any]:
        """One sample: its ns an object, and for ``get`` and ``put`` every how many calls one was timed, with the
        histogram as [ns, calls] by ascending ns."""
        self._every = self._every or self._pace(units)
        sample, gets, puts = self._engine.time_calls(units, *self._every)
        return {
            "ns": sample.ns_per_object,
            "clock_ns": clock_ns(),
            "resolution_ns": clock_step_ns(),
            "get": {"every": self._every[0], "buckets": gets},
            "put": {"every": self._every[1], "buckets": puts},
        }

    def _pace(self, units: int) -> tuple[int, int]:
        """Counts the calls by timing each of them, which also warms this loop up."""
        spent = sum(actor.ns for actor in self._engine.sample(units).actors)
        _, *histograms = self._engine.time_calls(units, 1, 1)
        allowed = max(1.0, spent * CLOCK_SHARE / 2)
        gets, puts = (max(1, math.ceil(clock_ns() * sum(count for _, count in each) / allowed)) for each in histograms)
        return gets, puts
