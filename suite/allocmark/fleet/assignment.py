# SPDX-License-Identifier: BSD-3-Clause
"""Which machine measures which case. Knows nothing of networks: names go in, names come out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

TRIES = 2  #: machines that a case may lose before it is given up


@dataclass(frozen=True)
class Given:
    """A case that a machine has in hand."""

    kind: str
    title: str
    tries: int


class Assignment:
    """Hands each case of each kind of machine to one machine of that kind, one at a time.

    Every call takes constant time, so a thousand machines cost no more per case than one.
    """

    def __init__(self, cases: Mapping[str, Iterable[str]], machines: Mapping[str, str]) -> None:
        """``cases``: titles by kind; ``machines``: kinds by name."""
        self._open = {kind: deque(Given(kind, title, 0) for title in titles) for kind, titles in cases.items()}
        self._kinds = dict(machines)
        self._given: dict[str, Given] = {}
        self._there: dict[str, int] = {}
        for kind in machines.values():
            self._there[kind] = self._there.get(kind, 0) + 1
        self._given_up: list[tuple[Given, str]] = []

    def next_for(self, machine: str) -> Given | None:
        """What a machine without work does next; None when nothing is left for its kind."""
        waiting = self._open.get(self._kinds[machine])
        if not waiting:
            return None
        self._given[machine] = waiting.popleft()
        return self._given[machine]

    def done(self, machine: str) -> Given:
        """It has measured what it was given."""
        return self._given.pop(machine)

    def failed(self, machine: str, why: str) -> None:
        """It could not measure what it was given, and goes on: another one would fail as well."""
        self._given_up.append((self._given.pop(machine), why))

    def lost(self, machine: str, why: str) -> None:
        """It is gone, and what it had in hand is another machine's of its kind."""
        kind = self._kinds.pop(machine)
        self._there[kind] -= 1
        if given := self._given.pop(machine, None):
            again = Given(kind, given.title, given.tries + 1)
            if again.tries < TRIES:
                self._open[kind].append(again)
            else:
                self._given_up.append((again, why))
        if not self._there[kind]:
            waiting = self._open[kind]
            self._given_up += [(each, f"no machine of its kind is left; the last one {why}") for each in waiting]
            waiting.clear()

    @property
    def machines(self) -> Iterable[str]:
        """Those that are still there."""
        return self._kinds.keys()

    @property
    def busy(self) -> Mapping[str, Given]:
        """Who has what in hand."""
        return self._given

    @property
    def given_up(self) -> list[tuple[Given, str]]:
        """What nobody measured, and why."""
        return self._given_up
