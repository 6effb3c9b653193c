# SPDX-License-Identifier: BSD-3-Clause
"""What an actor holds while it is played, and the most and the least that it held."""

from __future__ import annotations

from allocmark.errors import WorkloadError
from allocmark.workload.language.steps import MOST_OBJECTS, Step
from allocmark.workload.tape.brought import Latest
from allocmark.workload.tape.context import Context


class Holding:
    """What an actor holds: in a *ring* for each pool, oldest first.

    An actor at a queue that carries objects of several pools has one ring for all of them, the last one (`mixed`), as
    what comes is known only while the tape runs.
    """

    def __init__(self, context: Context, name: str) -> None:
        self.context = context
        self.name = name
        self.pools = list(context.workload.pools.values())
        self.pool_names = list(context.workload.pools)
        self.own = context.pools_of[name]
        self.sizes = [pool.object_size for pool in self.pools]
        self.rooms = [*(pool.objects for pool in self.pools), MOST_OBJECTS]  # by ring
        self.mixed = len(self.pools) if name in context.mixing else None
        self.several = len(self.own) > 1 and self.mixed is None
        self.held = [0] * (len(self.pools) + 1)  # by ring
        self.total = 0
        self.order = bytearray()  # ring of each held object, oldest first; kept only for several
        self.most_held = [0] * len(self.held)
        self.most_total = 0
        # Since the last mark.
        self.peak, self.dip, self.top = list(self.held), list(self.held), 0
        self.latest: list[Latest] = []

    def _error(self, step: Step, text: str) -> WorkloadError:
        return self.context.error(step.line, text)

    def _ring(self, pool: int) -> int:
        return pool if self.mixed is None else self.mixed

    def _gained(self, ring: int, n: int, step: Step) -> None:
        held = self.held[ring] + n
        self.held[ring] = held
        if held > self.rooms[ring]:
            raise self._too_many(ring, held, step)
        self.total = total = self.total + n
        # Not max(): this is where the time goes.
        if held > self.peak[ring]:
            self.peak[ring] = held
            if held > self.most_held[ring]:
                self.most_held[ring] = held
        if total > self.top:
            self.top = total
            if total > self.most_total:
                self.most_total = total
        if self.several:
            self.order += bytes((ring,)) * n

    def _too_many(self, ring: int, held: int, step: Step) -> WorkloadError:
        if ring == self.mixed:
            return self._error(
                step, f"{self.name} holds {held:,} objects here, the limit is {MOST_OBJECTS:,}: hold fewer"
            )
        return self._error(
            step,
            f"pool {self.pool_names[ring]!r} has {self.rooms[ring]:,} objects, and {self.name} alone "
            f"holds {held:,} here: give it more, or hold fewer",
        )

    def _lost(self, ring: int, n: int) -> None:
        held = self.held[ring] - n
        self.held[ring] = held
        if held < self.dip[ring]:
            self.dip[ring] = held
        self.total -= n
        self.latest = []

    def _forget(self, ring: int, n: int, which: str) -> None:
        """Takes n objects of one ring out of `order`."""
        own = bytes((ring,))
        if which == "newest":
            self.order = bytearray().join(self.order.rsplit(own, n))
        else:
            self.order = self.order.replace(own, b"", n)

    def _most_held(self) -> list[int]:
        """By pool. Where all are held together it is not known which: each may be the pool of all."""
        if self.mixed is None:
            return self.most_held[:-1]
        return [self.most_held[-1] if pool in self.own else 0 for pool in range(len(self.pools))]
