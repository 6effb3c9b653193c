# SPDX-License-Identifier: BSD-3-Clause
"""Which measurement passes there are. Not in `__init__.py`: a cell's process imports only the passes it makes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from allocmark.passes.base import Pass, TablePass
from allocmark.passes.latency import LatencyPass
from allocmark.passes.placement import PlacementPass
from allocmark.passes.replayed import ReplayPass
from allocmark.passes.reuse import ReusePass
from allocmark.passes.throughput import Throughput
from allocmark.passes.verify import Verify
from allocmark.stats import MOST_PER_USABLE

#: What has a record in a cell, in the order of the tables.
PASSES: tuple[TablePass[Any], ...] = (LatencyPass(), ReusePass(), PlacementPass(), ReplayPass())


def beside() -> tuple[TablePass[Any], ...]:
    """What can be measured beside the samples."""
    return tuple(each for each in PASSES if not each.alone)


def counting() -> tuple[str, ...]:
    """Names of the passes that only count, and so find the same in every run."""
    return tuple(each.name for each in beside() if not each.timed)


def scheduled(
    names: Collection[str], verify: bool = False, number: int = 0, usable: int = 0, most: int | None = None
) -> tuple[Pass, ...]:
    """What is done in the round with this ``number``, after so many ``usable`` ones, in order. Counting comes first, so
    that it finds the pools the same in every run. Every pass that is named is due in round 0; the timed ones until
    ``most`` rounds were usable, None: as many as each says itself, and in twice as many rounds at most.
    """
    if verify:
        return (Verify(),)

    def due(each: TablePass[Any]) -> bool:
        rounds = most if most and each.timed else each.most_rounds
        if rounds is None or not each.timed:
            return rounds is None or number < rounds
        return usable < rounds and number < MOST_PER_USABLE * rounds

    wanted = [each for each in beside() if each.name in names and due(each)]
    return (*(p for p in wanted if not p.timed), Throughput(), *(p for p in wanted if p.timed))
