# SPDX-License-Identifier: BSD-3-Clause
"""What comes of playing an actor: its tapes, and what they get, send and receive."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from allocmark.workload.tape.instructions import Items


class Counts:
    """Objects that one tape gets, and that it sends and receives on each queue."""

    def __init__(self, queues: int) -> None:
        self.got = 0
        self.sent = [0] * queues
        self.received = [0] * queues

    def copy(self) -> Counts:
        copy = Counts(0)
        copy.got, copy.sent, copy.received = self.got, list(self.sent), list(self.received)
        return copy

    def add(self, more: Counts) -> None:
        self.got += more.got
        for mine, others in ((self.sent, more.sent), (self.received, more.received)):
            mine[:] = map(sum, zip(mine, others, strict=True))

    def add_since(self, before: Counts, times: int) -> None:
        """As often again what was counted since then."""
        self.got += times * (self.got - before.got)
        for now, then in ((self.sent, before.sent), (self.received, before.received)):
            now[:] = [n + times * (n - was) for n, was in zip(now, then, strict=True)]


@dataclass
class Recorded:
    """One actor, played to its end. ``most_held``: by pool; ``most_mixed``: of all pools together, if it holds them so.
    ``asked``: by pool, objects that were got and the bytes that were asked for."""

    prologue: Items
    body: Items
    indices: array[int]
    most_held: list[int]
    most_mixed: int
    asked: list[tuple[int, int]]
    prologue_counts: Counts
    body_counts: Counts
