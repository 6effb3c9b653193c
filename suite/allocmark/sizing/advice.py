# SPDX-License-Identifier: BSD-3-Clause
"""One sentence on a backend: which cache, how large a pool, and what the next smaller cache would cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from allocmark.output.text.figures import plain
from allocmark.sizing.sized import Sized, SizedActor, SizedBackend

WORTH_IT = (
    0.01  #: trips per object: what a larger cache must save, for a trip costs about as much as 100 cached objects
)


def knee(sizes: Sequence[Sized]) -> Sized | None:
    """The smallest cache with at most `WORTH_IT` more trips per object than the best one. None: trips are not known, or
    there is nothing to compare."""
    known = [(size, size.trips_per_object) for size in sizes if size.trips_per_object is not None]
    if len(known) < 2:
        return None
    least = min(trips for _, trips in known if trips is not None)
    return next(size for size, trips in known if trips is not None and trips <= least + WORTH_IT)


def advice(backend: SizedBackend) -> str:
    """Without the backend's name; "" when nothing was counted."""
    counted = [size for size in backend.sizes if not size.refused]
    if not counted:
        return ""
    chosen = knee(counted) or counted[-1]
    if chosen.pools[0].smallest is None:
        out = ", ".join(f"{pool.most_out:,} of {plain(pool.name)}" for pool in chosen.pools)
        return f"it takes any number of objects; at most {out} are out at once."
    said = [f"cache {chosen.cache:,}: {_trips(chosen)}", _pools(chosen)]
    before = counted[: counted.index(chosen)]
    if before and chosen.knows_trips:
        said.append(_worst(before[-1]))
    return "; ".join(said) + "."


def _trips(size: Sized) -> str:
    trips = size.trips_per_object
    if trips is None:
        return "it does not say how often threads go to what they share"
    return f"one trip per {1 / trips:,.0f} objects" if trips else "no trips"


def _pools(size: Sized) -> str:
    """The smallest pools."""
    one = len(size.pools) == 1
    said = ", ".join(f"{'pool' if one else plain(pool.name)} ≥ {pool.smallest:,}" for pool in size.pools)
    trips = size.trips_per_object
    if trips is None or size.tight is None or size.tight <= trips + WORTH_IT:
        return said
    return f"{said} (one trip per {1 / size.tight:,.0f} objects in the smallest)"


def _called(actor: SizedActor, kinds: Counter[str]) -> str:
    """Without its number where it is the only one of its kind."""
    kind = actor.name.partition("[")[0]
    return kind if kinds[kind] == 1 else actor.name


def _worst(size: Sized) -> str:
    """Who would make most trips per object with this size, and how many."""
    kinds = Counter(actor.name.partition("[")[0] for actor in size.actors)
    rates = [
        (traffic.miss_rate or 0.0, f"{plain(_called(actor, kinds))} {what}")
        for actor in size.actors
        for traffic, what in ((actor.gets, "gets"), (actor.puts, "puts"))
    ]
    rate, who = max(rates, key=lambda pair: pair[0])
    return (
        f"with {size.cache:,}, {who} miss once per {1 / rate:,.0f} objects"
        if rate
        else f"with {size.cache:,}, the same"
    )
