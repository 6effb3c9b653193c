# SPDX-License-Identifier: BSD-3-Clause
"""Plays one actor of a workload in Python, draws its random numbers, and writes down what it does.

Passes of a repeat that do the same as the one before are not played: they become a loop on the tape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from allocmark.workload.language.steps import Repeat, Step
from allocmark.workload.tape.acting import LONGEST, Acting
from allocmark.workload.tape.alike import draws, regardless, touches_earlier
from allocmark.workload.tape.brought import Latest
from allocmark.workload.tape.context import Context
from allocmark.workload.tape.instructions import LOOP_DEPTH, MOST_COUNT, Recorder, depth
from allocmark.workload.tape.recorded import Counts, Recorded

#: Instructions after which a body with random numbers is long enough; or 32 times as many numbers that were drawn, or
#: 128 times as many places of objects.
RANDOM_BODY = 4096
RANDOM_PASSES = 16384  #: instructions after which passes with random numbers may be repeated as they are
CLOSING_BULK = 32  #: objects in one of the gets and puts that close a random body


@dataclass
class Mark:
    """Where an actor stood before some passes of a repeat, and what it held in them at most and at least, by ring.
    ``order``: see `Holding`; None when it is not compared."""

    held: list[int]
    total: int
    latest: list[Latest]
    order: bytes | None
    counts: Counts
    drawn: int
    passes: int = 0
    peak: list[int] = field(default_factory=list)
    dip: list[int] = field(default_factory=list)
    top: int = 0  #: of all rings together


class Player(Acting):
    """One actor, from its first step to the end of its tapes: its iterations, and the repeats in them."""

    def __init__(self, context: Context, name: str, instance: int) -> None:
        super().__init__(context, name, instance)
        self.do[Repeat] = self._repeat
        # By id() of a repeat: whether it draws, is regardless, and touches what came before.
        self.alike: dict[int, tuple[bool, bool, bool]] = {}

    def play(self, steps: Sequence[Step], once: bool = False, doubling: bool = False) -> Recorded:
        """The actor's tapes, not yet folded into more loops. ``once``: the body is one run of the steps, also when they
        draw. ``doubling``: it is a power of two of them, so that two that draw are soon even at a queue."""
        # The prologue: iterations as long as the live set grows.
        prologue, prologue_counts = Recorder(), Counts(len(self.context.flows))
        certain = not draws(steps) and regardless(steps, self.several)
        while True:
            highest, before, before_total, places = self.most_total, list(self.held), self.total, len(self.indices)
            self._run(steps)
            if self.most_total == highest:
                break
            if certain and self.total > before_total:
                raise self._error(
                    steps[-1],
                    f"{self.name} holds {self.total - before_total:,} objects more each time it has run its steps: "
                    "expected as many puts as gets",
                )
            prologue.repeat(self.recorder, 1)
            prologue_counts.add(self.counts)
            self.recorder, self.counts, self.drawn = Recorder(), Counts(len(self.context.flows)), 0

        # The body, of which this was the first iteration. With random numbers it goes on until it is long, and ends
        # with as many objects held as it began with if that comes soon.
        runs, most = 1, RANDOM_BODY * (8 if doubling else 2)
        while self.drawn and not once:
            size = self.recorder.size
            long = max(size, self.drawn >> 5, (len(self.indices) - places) >> 7) >= RANDOM_BODY
            even = self.total == before_total and not (doubling and runs & (runs - 1))
            if (long and even) or size >= most:
                break
            self._run(steps)
            runs += 1
        self._close(before, steps[-1])
        return Recorded(
            prologue.items,
            self.recorder.items,
            self.indices,
            self._most_held(),
            self.most_held[-1],
            list(zip(self.got, self.asked, strict=True)),
            prologue_counts,
            self.counts,
        )

    def _close(self, before: Sequence[int], last: Step) -> None:
        """Gets and puts so that each live set is as large as at the start of the body."""
        for ring, wanted in enumerate(before):
            while surplus := max(0, self.held[ring] - wanted):
                self._put_from(ring, min(surplus, CLOSING_BULK), "oldest", last)
            while missing := max(0, wanted - self.held[ring]):
                pool = self.own[0] if ring == self.mixed else ring
                self._get_from(pool, min(missing, CLOSING_BULK), last)
        if self.several:
            self.order = bytearray().join(bytes([ring]) * n for ring, n in enumerate(self.held))

    def _repeat(self, step: Repeat) -> None:
        left = MOST_COUNT if step.times is None else self._number(step, "times", step.times)
        target = step.until_held
        growing = target is not None and self.total < target

        def ends() -> bool:
            return left == 0 if target is None else self.total >= target if growing else self.total <= target

        if id(step) not in self.alike:
            self.alike[id(step)] = (
                draws(step.steps),
                regardless(step.steps, self.several),
                touches_earlier(step.steps),
            )
        drawing, independent, touching = self.alike[id(step)]
        if not independent and (drawing or target is not None):  # no two passes are alike
            self._each(step, left, target)
            return
        passes, compared = 0, 1
        while not ends():
            # To compare what is held takes a while where that is much: before the first pass, the second, the fourth …
            with self._apart(compare=self.several and passes + 1 >= compared) as (mark, part):
                while True:
                    before = self.total
                    self._run(step.steps)
                    if target is not None:
                        self._check_progress(step, target, growing, before)
                    mark.passes += 1
                    if not drawing or part.size >= RANDOM_PASSES or mark.passes == left or ends():
                        break
            passes += mark.passes
            left -= mark.passes
            again = 0
            if not ends() and depth(part.items) < LOOP_DEPTH:
                if independent and (not touching or self.latest == mark.latest):
                    again = self._further(mark, left, target)
                elif self._is_as_before(mark):
                    again = left
            if passes >= compared:
                compared *= 2
            if again:
                self._jump(mark, again)
            self.recorder.repeat(part, 1 + again)
            passes += again * mark.passes
            left -= again * mark.passes

    def _each(self, step: Repeat, times: int, target: int | None) -> None:
        """Play every pass."""
        acts, n = self._acts(step.steps), len(step.steps)
        for _ in range(times) if target is None else self._until(step, target):
            self.played += n
            if self.played > LONGEST:
                raise self._too_long(step.steps[0])
            for act, inner in acts:
                act(inner)

    def _until(self, step: Repeat, target: int) -> Iterator[None]:
        """Once for each pass."""
        growing = self.total < target
        while (before := self.total) != target and growing == (before < target):
            yield
            self._check_progress(step, target, growing, before)

    def _check_progress(self, step: Repeat, target: int, growing: bool, before: int) -> None:
        if self.total > before if growing else self.total < before:
            return
        raise self._error(
            step,
            f"repeat until {target:,} objects are held never ends: its steps begin with {before:,} held and "
            f"end with {self.total:,}",
        )

    @contextmanager
    def _apart(self, compare: bool) -> Iterator[tuple[Mark, Recorder]]:
        """What is played meanwhile is recorded apart. ``compare``: the order in which objects came will be compared."""
        order = bytes(self.order) if compare else None
        mark = Mark(list(self.held), self.total, self.latest, order, self.counts.copy(), self.drawn)
        outer, peak, dip, top = self.recorder, self.peak, self.dip, self.top
        self.recorder, self.peak, self.dip, self.top = Recorder(), list(self.held), list(self.held), self.total
        yield mark, self.recorder
        mark.peak, mark.dip, mark.top = self.peak, self.dip, self.top
        self.recorder = outer
        self.peak = [max(pair) for pair in zip(peak, mark.peak, strict=True)]
        self.dip = [min(pair) for pair in zip(dip, mark.dip, strict=True)]
        self.top = max(top, mark.top)

    def _is_as_before(self, mark: Mark) -> bool:
        """Whether all is as before the passes, so that the next ones do the same."""
        alike = self.held == mark.held and self.latest == mark.latest and self.drawn == mark.drawn
        return alike and (not self.several or mark.order == bytes(self.order))

    def _further(self, mark: Mark, left: int, target: int | None) -> int:
        """How often the same passes can follow at least: as far as they are asked for, and what they need is there."""
        most = left // mark.passes
        change = self.total - mark.total
        if target is not None:
            missing = abs(target - self.total)
            most = -(-missing // abs(change)) if mark.passes == 1 else (missing - 1) // abs(change)
        for ring, then in enumerate(mark.held):
            change = self.held[ring] - then
            if change > 0:
                most = min(most, (self.rooms[ring] - mark.peak[ring]) // change)
            elif change < 0:
                most = min(most, mark.dip[ring] // -change)
        return max(0, most)

    def _jump(self, mark: Mark, times: int) -> None:
        """As if the passes since the mark were played as often again."""
        change = [times * (now - then) for now, then in zip(self.held, mark.held, strict=True)]
        grown = self.total - mark.total
        if self.several:  # they only get, or they leave all as it was
            self.order += self.order[len(self.order) - grown :] * times
        self.held = [n + more for n, more in zip(self.held, change, strict=True)]
        self.peak = [max(n, at + more) for n, at, more in zip(self.peak, mark.peak, change, strict=True)]
        self.dip = [min(n, at + more) for n, at, more in zip(self.dip, mark.dip, change, strict=True)]
        self.most_held = [max(pair) for pair in zip(self.most_held, self.peak, strict=True)]
        self.total += times * grown
        self.top = max(self.top, mark.top + times * grown)
        self.most_total = max(self.most_total, self.top)
        self.counts.add_since(mark.counts, times)
