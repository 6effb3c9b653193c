# SPDX-License-Identifier: BSD-3-Clause
"""Plays one actor of a workload in Python, draws its random numbers, and writes down what it does."""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from allocmark.errors import WorkloadError
from allocmark.workload.language.checks import walk
from allocmark.workload.language.schema import Workload
from allocmark.workload.language.steps import Get, Hold, Idle, Number, Put, Receive, Repeat, Send, Step, Touch
from allocmark.workload.tape.instructions import Insn, Loop, Op, Recorder

RANDOM_BODY = 4096  #: instructions after which a body with random numbers is long enough
LONGEST = 2_000_000  #: steps played for one actor before it is refused
CLOSING_BULK = 32  #: objects in one of the gets and puts that close a random body


@dataclass
class Flow:
    """What goes through one queue."""

    capacity: int
    sender: str = ""
    receiver: str = ""
    pool: int | None = None
    bulks: set[int] = field(default_factory=set)  # sizes of the sends


@dataclass
class Counts:
    """Objects that one tape gets, and that it sends and receives on each queue."""

    got: int = 0
    sent: Counter[int] = field(default_factory=Counter)
    received: Counter[int] = field(default_factory=Counter)


@dataclass
class Recorded:
    """One actor, played to its end."""

    prologue: list[Insn | Loop]
    body: list[Insn | Loop]
    indices: list[int]
    most_held: list[int]
    prologue_counts: Counts
    body_counts: Counts


class Context:
    """What the actors of a case share while they are played: the numbers of pools, queues and steps, and the queues."""

    def __init__(self, workload: Workload, seed: int, path: str) -> None:
        self.workload = workload
        self.seed = seed
        self.path = path
        self.pool_index = {name: i for i, name in enumerate(workload.pools)}
        self.queue_index = {name: i for i, name in enumerate(workload.queues)}
        self.flows = [Flow(queue.capacity) for queue in workload.queues.values()]
        self.steps: list[str] = []  # the name of each step in messages
        self.step_ids: dict[int, int] = {}  # place in `steps`, by id() of a step of the model
        for name, actor in workload.actors.items():
            self._name_steps(actor.steps, f"{name} step ")
            for step in walk(actor.steps):
                if isinstance(step, Send):
                    self.flows[self.queue_index[step.queue]].sender = name
                elif isinstance(step, Receive):
                    self.flows[self.queue_index[step.queue]].receiver = name

    def error(self, line: int, text: str) -> WorkloadError:
        """The error, with file and line."""
        return WorkloadError(f"{self.path}:{line}: {text}")

    def _name_steps(self, steps: Sequence[Step], prefix: str) -> None:
        for number, step in enumerate(steps, 1):
            self.step_ids[id(step)] = len(self.steps)
            self.steps.append(f"{prefix}{number} ({type(step).__name__.lower()}), line {step.line}")
            if isinstance(step, Repeat):
                self._name_steps(step.steps, f"{prefix}{number}.")


class Player:
    """One actor: what it holds, what it draws, and the tape so far."""

    def __init__(self, context: Context, name: str, instance: int) -> None:
        self.context = context
        self.name = name
        self.pools = list(context.workload.pools.values())
        # The draws depend on the seed and on this actor's name and number: another actor does not change them.
        self.rng = random.Random(zlib.crc32(f"{context.seed}/{name}/{instance}".encode()))
        self.samplers: dict[tuple[int, str], Callable[[], int]] = {}
        self.held = [0] * len(self.pools)
        self.total = 0
        self.order: list[int] = []  # pool of each held object, oldest first; kept only for several pools
        self.mixed = len(self.pools) > 1
        self.most_held = [0] * len(self.pools)
        self.most_total = 0
        self.latest: list[tuple[int, int]] = []  # (pool, n) of the latest get or receive
        self.indices: list[int] = []
        self.recorder = Recorder()
        self.counts = Counts()
        self.drew = False
        self.played = 0

    def play(self, steps: Sequence[Step]) -> Recorded:
        """The actor's tapes, not yet folded into loops."""
        # The prologue: iterations until the live set grows no more.
        grew = True
        while grew:
            highest = self.most_total
            self._run(steps)
            grew = self.most_total > highest
        prologue, prologue_counts = self.recorder.items, self.counts

        self.recorder, self.counts, self.drew = Recorder(), Counts(), False
        before, before_total = list(self.held), self.total
        while True:
            self._run(steps)
            # A body with random numbers goes on until it is long, and ends with as many objects held as it began with
            # if that comes soon.
            size = len(self.recorder.items)
            if not self.drew or (size >= RANDOM_BODY and self.total == before_total) or size >= 2 * RANDOM_BODY:
                break
        self._close(before, steps[-1])
        return Recorded(prologue, self.recorder.items, self.indices, self.most_held, prologue_counts, self.counts)

    def _close(self, before: Sequence[int], last: Step) -> None:
        """Gets and puts so that each pool's live set is as large as at the start of the body."""
        for pool, wanted in enumerate(before):
            while surplus := max(0, self.held[pool] - wanted):
                self._put_from(pool, min(surplus, CLOSING_BULK), "oldest", last)
            while missing := max(0, wanted - self.held[pool]):
                self._get_from(pool, min(missing, CLOSING_BULK), last)
        if self.mixed:
            self.order = [pool for pool, n in enumerate(self.held) for _ in range(n)]

    def _run(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self.played += 1
            if self.played > LONGEST:
                raise self._error(
                    step,
                    f"{self.name} holds more objects each time it has run its steps, {self.total:,} after {LONGEST:,} "
                    "steps: expected as many puts as gets",
                )
            match step:
                case Get():
                    self._get(step)
                case Touch():
                    self._touch(step)
                case Put():
                    self._put(step)
                case Hold():
                    self._release(self.total - self._number(step, "objects", step.objects), step.release, None, step)
                case Send():
                    self._send(step)
                case Receive():
                    self._receive(step)
                case Idle():
                    if ns := self._number(step, "ns", step.ns):
                        self._emit(step, Op.IDLE, n=ns)
                case Repeat():
                    self._repeat(step)

    def _error(self, step: Step, text: str) -> WorkloadError:
        return self.context.error(step.line, text)

    def _number(self, step: Step, what: str, number: Number) -> int:
        if isinstance(number, int):
            return number
        self.drew = True
        key = (id(step), what)
        if key not in self.samplers:
            self.samplers[key] = number.sampler(self.rng)
        return self.samplers[key]()

    def _emit(self, step: Step, op: Op, target: int = 0, n: int = 0, arg: int = 0, aux: int = 0) -> None:
        self.recorder.add(Insn(op, target, n, arg, aux, self.context.step_ids[id(step)]))

    def _gained(self, pool: int, n: int, step: Step) -> None:
        self.held[pool] += n
        if self.held[pool] > self.pools[pool].objects:
            name = list(self.context.pool_index)[pool]
            raise self._error(
                step,
                f"pool {name!r} has {self.pools[pool].objects:,} objects, and {self.name} alone "
                f"holds {self.held[pool]:,} here: give it more, or hold fewer",
            )
        self.total += n
        self.most_held[pool] = max(self.most_held[pool], self.held[pool])
        self.most_total = max(self.most_total, self.total)
        if self.mixed:
            self.order += [pool] * n

    def _lost(self, pool: int, n: int) -> None:
        self.held[pool] -= n
        self.total -= n
        self.latest = []

    def _get(self, step: Get) -> None:
        n = self._number(step, "n", step.n)
        wanted = dict.fromkeys((self.context.pool_index[name] for name in step.pools), 0)
        if step.size is None:
            wanted[next(iter(wanted))] = n
        else:
            by_size = sorted(wanted, key=lambda pool: self.pools[pool].object_size)
            for _ in range(n):
                size = self._number(step, "size", step.size)
                wanted[next(pool for pool in by_size if self.pools[pool].object_size >= size)] += 1
        self.latest = [(pool, count) for pool, count in wanted.items() if count]
        for pool, count in self.latest:
            self._get_from(pool, count, step)

    def _get_from(self, pool: int, n: int, step: Step) -> None:
        self._emit(step, Op.GET, pool, n, arg=1)
        self.counts.got += n
        self._gained(pool, n, step)

    def _touch(self, step: Touch) -> None:
        if step.bytes == 0:
            return
        if not self.latest:
            raise self._error(step, "nothing to touch: what came last is put or sent already; touch it earlier")
        op = Op.WRITE if step.how == "write" else Op.READ
        for pool, n in self.latest:
            self._emit(step, op, pool, n, arg=step.bytes)

    def _put(self, step: Put) -> None:
        pool = None if step.pool is None else self.context.pool_index[step.pool]
        held = self.total if pool is None else self.held[pool]
        n = held if step.which == "all" or step.n is None else self._number(step, "n", step.n)
        if n > held:
            raise self._error(step, f"put of {n:,} objects, and {self.name} holds {held:,} here; put fewer")
        self._release(n, step.which, pool, step)

    def _release(self, n: int, which: str, pool: int | None, step: Step) -> None:
        """Put n of the objects held, one bulk per pool."""
        if n <= 0:
            return
        if pool is not None or not self.mixed:
            self._put_from(pool or 0, n, which, step)
            if self.mixed:
                self._forget(pool or 0, n, which)
            return
        for chosen, count in self._choose(n, which):
            self._put_from(chosen, count, which, step)

    def _choose(self, n: int, which: str) -> list[tuple[int, int]]:
        """(pool, number) of the n objects that go; takes them out of `order`."""
        if which == "newest":
            gone, self.order = self.order[-n:], self.order[:-n]
        elif which == "random":
            self.drew = True
            gone = [self.order.pop(int(self.rng.random() * len(self.order))) for _ in range(n)]
        else:
            gone, self.order = self.order[:n], self.order[n:]
        return sorted((pool, gone.count(pool)) for pool in set(gone))

    def _forget(self, pool: int, n: int, which: str) -> None:
        """Takes n objects of one pool out of `order`."""
        places = [i for i, other in enumerate(self.order) if other == pool]
        gone = set(places[-n:] if which == "newest" else places[:n])
        self.order = [other for i, other in enumerate(self.order) if i not in gone]

    def _put_from(self, pool: int, n: int, which: str, step: Step) -> None:
        if which == "random" and n < self.held[pool]:
            self.drew = True
            self._emit(step, Op.PUT_RANDOM, pool, n, arg=len(self.indices))
            self.indices += [int(self.rng.random() * (self.held[pool] - i)) for i in range(n)]
        else:
            self._emit(step, Op.PUT_NEWEST if which == "newest" else Op.PUT_OLDEST, pool, n, arg=1)
        self._lost(pool, n)

    def _send(self, step: Send) -> None:
        index = self.context.queue_index[step.queue]
        flow = self.context.flows[index]
        pools = [pool for pool, n in enumerate(self.held) if n]
        if len(pools) != 1:
            found = "nothing is held" if not pools else "objects of several pools are held"
            raise self._error(step, f"send to {step.queue!r}, and {found}; a queue carries the objects of one pool")
        pool = pools[0]
        n = self.held[pool] if step.n is None else step.n
        if n > self.held[pool]:
            raise self._error(
                step, f"send of {n:,} objects, and {self.name} holds {self.held[pool]:,} here; send fewer"
            )
        if flow.pool not in (None, pool):
            raise self._error(step, f"queue {step.queue!r} is sent objects of two pools; use a queue per pool")
        flow.pool = pool
        flow.bulks.add(n)
        self._check_capacity(step, flow, n)
        self._emit(step, Op.SEND, index, n, aux=pool)
        self.counts.sent[index] += n
        self._lost(pool, n)
        if self.mixed:
            self._forget(pool, n, "oldest")

    def _receive(self, step: Receive) -> None:
        index = self.context.queue_index[step.queue]
        flow = self.context.flows[index]
        if flow.pool is None:
            if self.mixed:
                raise self._error(
                    step,
                    f"queue {step.queue!r} closes a circle of actors that wait for each other, so the pool of "
                    "its objects is not known here: use one pool, or break the circle",
                )
            flow.pool = 0
        n = step.n
        if n is None:
            if len(flow.bulks) != 1:
                raise self._error(step, f"receive needs n: {flow.sender} sends {_range(flow.bulks)} objects at a time")
            n = next(iter(flow.bulks))
        self._check_capacity(step, flow, n)
        self._emit(step, Op.RECEIVE, index, n, aux=flow.pool)
        self.counts.received[index] += n
        self._gained(flow.pool, n, step)
        self.latest = [(flow.pool, n)]

    def _check_capacity(self, step: Step, flow: Flow, n: int) -> None:
        if n > flow.capacity:
            raise self._error(step, f"{n:,} objects at a time do not fit a queue with a capacity of {flow.capacity:,}")

    def _repeat(self, step: Repeat) -> None:
        if step.times is not None:
            for _ in range(self._number(step, "times", step.times)):
                self._run(step.steps)
            return
        target = step.until_held or 0
        growing = self.total < target
        while (self.total < target) if growing else (self.total > target):
            before = self.total
            self._run(step.steps)
            change = self.total - before
            if change <= 0 if growing else change >= 0:
                raise self._error(
                    step,
                    f"repeat until {target:,} objects are held never ends: its steps begin with {before:,} held and "
                    f"end with {self.total:,}",
                )


def _range(numbers: set[int]) -> str:
    return f"{min(numbers):,} to {max(numbers):,}" if numbers else "no"
