# SPDX-License-Identifier: BSD-3-Clause
"""Compiles one cell of a workload to tapes.

Each actor is played through in Python, drawing its random numbers, and what it does is written down. What an
actor holds is known at every step (a get or a receive that finds too little waits in the engine), so ``put:
random`` becomes exact places, a mix of sizes becomes gets from known pools, and the tape needs no decision.

A tape has a *prologue*, which brings the live set to its steady size, and a *body*, which is run over and over
and leaves the live set as large as it found it. A body with random numbers spans many passes over the
steps, so that it does not repeat itself soon.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import gcd, lcm

from allocmark.errors import WorkloadError
from allocmark.workload import schema
from allocmark.workload.program import Program, ProgramActor, ProgramPool, ProgramQueue
from allocmark.workload.tape import Insn, Loop, Op, Recorder, assemble, roll

RANDOM_BODY = 4096  #: instructions after which a body with random numbers is long enough
LONGEST = 2_000_000  #: instructions played through for one actor before it is given up
CLOSING_BULK = 32  #: objects in one of the gets and puts that close a random body


def compile_workload(workload: schema.Workload, seed: int, path: str = "workload") -> Program:
    """Tapes for every actor of a concrete workload. The same seed gives the same tapes, everywhere.

    Raises WorkloadError for a shape that cannot run: more put than held, a live set that grows for ever,
    queues that are filled faster than they are emptied, a pool smaller than what its actors hold.
    """
    return _Compiler(workload, seed, path).program()


@dataclass
class _Flow:
    """What crosses one queue."""

    capacity: int
    sender: str = ""
    receiver: str = ""
    pool: int | None = None
    bulks: set[int] = field(default_factory=set)  # sizes of the sends


@dataclass
class _Counts:
    """What one stretch of tape moves."""

    got: int = 0
    sent: dict[int, int] = field(default_factory=dict)
    received: dict[int, int] = field(default_factory=dict)


@dataclass
class _Recorded:
    """One actor, played through."""

    prologue: list[Insn | Loop]
    body: list[Insn | Loop]
    indices: list[int]
    most_held: list[int]
    prologue_counts: _Counts
    body_counts: _Counts


class _Compiler:
    def __init__(self, workload: schema.Workload, seed: int, path: str) -> None:
        self.workload = workload
        self.seed = seed
        self.path = path
        self.pool_index = {name: i for i, name in enumerate(workload.pools)}
        self.queue_index = {name: i for i, name in enumerate(workload.queues)}
        self.flows = [_Flow(queue.capacity) for queue in workload.queues.values()]
        self.steps: list[str] = []
        self.step_ids: dict[int, int] = {}  # id() of a step of the model

    def error(self, line: int, text: str) -> WorkloadError:
        return WorkloadError(f"{self.path}:{line}: {text}")

    def program(self) -> Program:
        for name, actor in self.workload.actors.items():
            self._name_steps(actor.steps, f"{name} step ")
            for step in _walk(actor.steps):
                if isinstance(step, schema.Send):
                    self.flows[self.queue_index[step.queue]].sender = name
                elif isinstance(step, schema.Receive):
                    self.flows[self.queue_index[step.queue]].receiver = name
        coupled = {flow.sender for flow in self.flows} | {flow.receiver for flow in self.flows}

        recorded: dict[str, list[_Recorded]] = {}
        for name in self._senders_first():
            actor = self.workload.actors[name]
            # Actors of one kind that share queues draw alike, so that what they send adds up.
            instances = 1 if name in coupled else actor.count
            played = [_Player(self, name, i).play(actor.steps) for i in range(instances)]
            recorded[name] = played * (actor.count if name in coupled else 1)
        rates = self._rates(recorded)
        settle = self._settle(recorded, rates)

        most_out = self._check_pools(recorded)
        return Program(
            workload=self.workload.name,
            pools=tuple(
                ProgramPool(
                    name=name,
                    object_size=pool.object_size,
                    objects=pool.objects,
                    alignment=pool.alignment,
                    cache=pool.cache,
                    node=pool.node,
                    working_set=most_out[i],
                )
                for i, (name, pool) in enumerate(self.workload.pools.items())
            ),
            queues=tuple(
                ProgramQueue(
                    name=name,
                    capacity=queue.capacity,
                    senders=self.workload.actors[self.flows[i].sender].count,
                    receivers=self.workload.actors[self.flows[i].receiver].count,
                )
                for i, (name, queue) in enumerate(self.workload.queues.items())
            ),
            actors=tuple(
                ProgramActor(
                    name=f"{name}[{i}]",
                    prologue=assemble(roll(tape.prologue)),
                    body=assemble(roll(tape.body)),
                    indices=tuple(tape.indices),
                    ring_capacity=tuple(tape.most_held),
                    passes=rates[name],
                    settle_passes=settle[name],
                    objects=tape.body_counts.got,
                    coupled=name in coupled,
                )
                for name in self.workload.actors
                for i, tape in enumerate(recorded[name])
            ),
            steps=tuple(self.steps),
        )

    def _name_steps(self, steps: Sequence[schema.Step], prefix: str) -> None:
        for number, step in enumerate(steps, 1):
            self.step_ids[id(step)] = len(self.steps)
            self.steps.append(f"{prefix}{number} ({type(step).__name__.lower()}), line {step.line}")
            if isinstance(step, schema.Repeat):
                self._name_steps(step.steps, f"{prefix}{number}.")

    def _senders_first(self) -> list[str]:
        """Actors in an order in which what a queue carries is known before it is received."""
        order: list[str] = []
        waiting = list(self.workload.actors)
        while waiting:
            ready = [
                name
                for name in waiting
                if all(f.sender in order or f.sender == name for f in self.flows if f.receiver == name)
            ]
            # In a ring of actors somebody has to begin; its receives must then say what they take.
            chosen = ready[0] if ready else waiting[0]
            order.append(chosen)
            waiting.remove(chosen)
        return order

    def _rates(self, recorded: dict[str, list[_Recorded]]) -> dict[str, int]:
        """Passes of each kind of actor in one unit, so that every queue is left as it was found."""
        rate: dict[str, Fraction] = {}
        for first in self.workload.actors:
            if first in rate:
                continue
            group = {first: Fraction(1)}
            grew = True
            while grew:
                grew = False
                for index, flow in enumerate(self.flows):
                    known, other = (
                        (flow.sender, flow.receiver) if flow.sender in group else (flow.receiver, flow.sender)
                    )
                    if known not in group:
                        continue
                    sent = sum(tape.body_counts.sent.get(index, 0) for tape in recorded[flow.sender])
                    received = sum(tape.body_counts.received.get(index, 0) for tape in recorded[flow.receiver])
                    if not sent or not received:
                        raise self.error(self._queue_line(index), self._unbalanced(index, sent, received))
                    ratio = Fraction(sent, received) if known == flow.sender else Fraction(received, sent)
                    wanted = group[known] * ratio
                    if other not in group:
                        group[other] = wanted
                        grew = True
                    elif group[other] != wanted:
                        raise self.error(self._queue_line(index), self._unbalanced(index, sent, received))
            scale = lcm(*(value.denominator for value in group.values()))
            shrink = gcd(*(int(value * scale) for value in group.values()))
            rate |= {name: value * scale / shrink for name, value in group.items()}
        return {name: int(value) for name, value in rate.items()}

    def _queue_line(self, index: int) -> int:
        name = self.flows[index].sender
        for step in _walk(self.workload.actors[name].steps):
            if isinstance(step, schema.Send) and self.queue_index[step.queue] == index:
                return step.line
        return 1

    def _unbalanced(self, index: int, sent: int, received: int) -> str:
        flow = self.flows[index]
        queue = list(self.workload.queues)[index]
        return (
            f"queue {queue!r}: a pass of {flow.sender} sends {sent:,} objects and a pass of {flow.receiver} "
            f"receives {received:,}, and no number of passes makes that even on all queues"
        )

    def _settle(self, recorded: dict[str, list[_Recorded]], rates: dict[str, int]) -> dict[str, int]:
        """Passes after the prologue with which the queues are empty again when the first sample starts."""
        passes = dict.fromkeys(self.workload.actors, 0)
        for turn in range(LONGEST):
            even = True
            for index, flow in enumerate(self.flows):
                sender, receiver = recorded[flow.sender], recorded[flow.receiver]
                sent = sum(
                    t.prologue_counts.sent.get(index, 0) + passes[flow.sender] * t.body_counts.sent[index]
                    for t in sender
                )
                received = sum(
                    t.prologue_counts.received.get(index, 0) + passes[flow.receiver] * t.body_counts.received[index]
                    for t in receiver
                )
                if sent < received:
                    passes[flow.sender] += 1
                    even = False
                elif received < sent:
                    passes[flow.receiver] += 1
                    even = False
            if even:
                return passes
            if turn > 10_000 * (1 + max(rates.values())):
                break
        raise self.error(
            1,
            "the live sets of its actors cannot be filled through the queues evenly; choose "
            "sizes of `hold` that are multiples of what is received at a time",
        )

    def _check_pools(self, recorded: dict[str, list[_Recorded]]) -> list[int]:
        """The most that is out of each pool for each actor that gets from it: its working set."""
        working_sets = []
        for index, (name, pool) in enumerate(self.workload.pools.items()):
            held = sum(tape.most_held[index] for tapes in recorded.values() for tape in tapes)
            if held > pool.objects:
                raise WorkloadError(
                    f"{self.path}: pool {name!r} has {pool.objects:,} objects and its actors hold up to {held:,} at "
                    "once; give it more, or hold less"
                )
            queued = sum(flow.capacity for flow in self.flows if flow.pool == index)
            getters = sum(
                self.workload.actors[actor].count
                for actor in recorded
                if any(
                    isinstance(step, schema.Get) and name in step.pools
                    for step in _walk(self.workload.actors[actor].steps)
                )
            )
            working_sets.append(max(1, min(pool.objects, held + queued) // max(1, getters)))
        return working_sets


def _walk(steps: Sequence[schema.Step]) -> Iterator[schema.Step]:
    for step in steps:
        yield step
        if isinstance(step, schema.Repeat):
            yield from _walk(step.steps)


class _Player:
    """Plays one actor through and writes down what it does."""

    def __init__(self, compiler: _Compiler, name: str, instance: int) -> None:
        self.compiler = compiler
        self.name = name
        self.pools = list(compiler.workload.pools.values())
        # An actor's draws depend on its own name and number only: adding another actor changes none of them.
        self.rng = random.Random(zlib.crc32(f"{compiler.seed}/{name}/{instance}".encode()))
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
        self.counts = _Counts()
        self.drew = False
        self.played = 0

    def play(self, steps: Sequence[schema.Step]) -> _Recorded:
        # Passes until the live set grows no more: what comes after is steady.
        grew = True
        while grew:
            highest = self.most_total
            self._run(steps)
            grew = self.most_total > highest
        prologue, prologue_counts = self.recorder.items, self.counts

        self.recorder, self.counts, self.drew = Recorder(), _Counts(), False
        before, before_total = list(self.held), self.total
        while True:
            self._run(steps)
            # A body with random numbers goes on until it is long, and as large as it began if that comes soon.
            size = len(self.recorder.items)
            if not self.drew or (size >= RANDOM_BODY and self.total == before_total) or size >= 2 * RANDOM_BODY:
                break
        self._close(before, steps[-1])
        return _Recorded(prologue, self.recorder.items, self.indices, self.most_held, prologue_counts, self.counts)

    def _close(self, before: Sequence[int], last: schema.Step) -> None:
        """Brings each pool's live set back to its size at the start of the body."""
        for pool, wanted in enumerate(before):
            while surplus := max(0, self.held[pool] - wanted):
                self._put_from(pool, min(surplus, CLOSING_BULK), "oldest", last)
            while missing := max(0, wanted - self.held[pool]):
                self._get_from(pool, min(missing, CLOSING_BULK), last)
        if self.mixed:
            self.order = [pool for pool, n in enumerate(self.held) for _ in range(n)]

    def _run(self, steps: Sequence[schema.Step]) -> None:
        for step in steps:
            self.played += 1
            if self.played > LONGEST:
                raise self._error(
                    step,
                    f"{self.name} does not come to rest within {LONGEST:,} steps: "
                    f"it holds {self.total:,} objects and more every pass",
                )
            match step:
                case schema.Get():
                    self._get(step)
                case schema.Touch():
                    self._touch(step)
                case schema.Put():
                    self._put(step)
                case schema.Hold():
                    self._release(self.total - self._number(step, "objects", step.objects), step.release, None, step)
                case schema.Send():
                    self._send(step)
                case schema.Receive():
                    self._receive(step)
                case schema.Idle():
                    if ns := self._number(step, "ns", step.ns):
                        self._emit(step, Op.IDLE, n=ns)
                case schema.Repeat():
                    self._repeat(step)

    def _error(self, step: schema.Step, text: str) -> WorkloadError:
        return self.compiler.error(step.line, text)

    def _number(self, step: schema.Step, what: str, number: schema.Number) -> int:
        if isinstance(number, int):
            return number
        self.drew = True
        key = (id(step), what)
        if key not in self.samplers:
            self.samplers[key] = number.sampler(self.rng)
        return self.samplers[key]()

    def _emit(self, step: schema.Step, op: Op, target: int = 0, n: int = 0, arg: int = 0, aux: int = 0) -> None:
        self.recorder.add(Insn(op, target, n, arg, aux, self.compiler.step_ids[id(step)]))

    def _gained(self, pool: int, n: int, step: schema.Step) -> None:
        self.held[pool] += n
        if self.held[pool] > self.pools[pool].objects:
            name = list(self.compiler.pool_index)[pool]
            raise self._error(
                step,
                f"pool {name!r} has {self.pools[pool].objects:,} objects, and {self.name} alone "
                f"holds {self.held[pool]:,} here; give it more, or hold less",
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

    def _get(self, step: schema.Get) -> None:
        n = self._number(step, "n", step.n)
        wanted = dict.fromkeys((self.compiler.pool_index[name] for name in step.pools), 0)
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

    def _get_from(self, pool: int, n: int, step: schema.Step) -> None:
        self._emit(step, Op.GET, pool, n, arg=1)
        self.counts.got += n
        self._gained(pool, n, step)

    def _touch(self, step: schema.Touch) -> None:
        if step.bytes == 0:
            return
        if not self.latest:
            raise self._error(
                step,
                "touch has nothing to touch: what was got or received before it is put or sent already; touch it first",
            )
        op = Op.WRITE if step.how == "write" else Op.READ
        for pool, n in self.latest:
            self._emit(step, op, pool, n, arg=step.bytes)

    def _put(self, step: schema.Put) -> None:
        pool = None if step.pool is None else self.compiler.pool_index[step.pool]
        held = self.total if pool is None else self.held[pool]
        n = held if step.which == "all" or step.n is None else self._number(step, "n", step.n)
        if n > held:
            raise self._error(step, f"put of {n:,} objects, and {self.name} holds {held:,} here")
        self._release(n, step.which, pool, step)

    def _release(self, n: int, which: str, pool: int | None, step: schema.Step) -> None:
        """Put n of what is held, in one bulk a pool."""
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
        """(pool, objects) of the n that go, taken out of the order by age."""
        if which == "newest":
            gone, self.order = self.order[-n:], self.order[:-n]
        elif which == "random":
            self.drew = True
            gone = [self.order.pop(int(self.rng.random() * len(self.order))) for _ in range(n)]
        else:
            gone, self.order = self.order[:n], self.order[n:]
        return sorted((pool, gone.count(pool)) for pool in set(gone))

    def _forget(self, pool: int, n: int, which: str) -> None:
        """Takes n objects of one pool out of the order by age."""
        places = [i for i, other in enumerate(self.order) if other == pool]
        gone = set(places[-n:] if which == "newest" else places[:n])
        self.order = [other for i, other in enumerate(self.order) if i not in gone]

    def _put_from(self, pool: int, n: int, which: str, step: schema.Step) -> None:
        if which == "random" and n < self.held[pool]:
            self.drew = True
            self._emit(step, Op.PUT_RANDOM, pool, n, arg=len(self.indices))
            self.indices += [int(self.rng.random() * (self.held[pool] - i)) for i in range(n)]
        else:
            self._emit(step, Op.PUT_NEWEST if which == "newest" else Op.PUT_OLDEST, pool, n, arg=1)
        self._lost(pool, n)

    def _send(self, step: schema.Send) -> None:
        index = self.compiler.queue_index[step.queue]
        flow = self.compiler.flows[index]
        pools = [pool for pool, n in enumerate(self.held) if n]
        if len(pools) != 1:
            found = "nothing is held" if not pools else "objects of several pools are held"
            raise self._error(step, f"send to {step.queue!r}, and {found}; a queue carries the objects of one pool")
        pool = pools[0]
        n = self.held[pool] if step.n is None else step.n
        if n > self.held[pool]:
            raise self._error(step, f"send of {n:,} objects, and {self.name} holds {self.held[pool]:,}")
        if flow.pool not in (None, pool):
            raise self._error(step, f"queue {step.queue!r} carries the objects of one pool, and gets those of two")
        flow.pool = pool
        flow.bulks.add(n)
        self._check_capacity(step, flow, n)
        self._emit(step, Op.SEND, index, n, aux=pool)
        self.counts.sent[index] = self.counts.sent.get(index, 0) + n
        self._lost(pool, n)
        if self.mixed:
            self._forget(pool, n, "oldest")

    def _receive(self, step: schema.Receive) -> None:
        index = self.compiler.queue_index[step.queue]
        flow = self.compiler.flows[index]
        if flow.pool is None:
            if self.mixed:
                raise self._error(
                    step,
                    f"which pool's objects queue {step.queue!r} carries is not known yet here: "
                    "its actors wait for each other in a ring",
                )
            flow.pool = 0
        n = step.n
        if n is None:
            if len(flow.bulks) != 1:
                raise self._error(
                    step,
                    f"receive needs n: {flow.sender} sends to {step.queue!r} {_listed(flow.bulks)} objects at a time",
                )
            n = next(iter(flow.bulks))
        self._check_capacity(step, flow, n)
        self._emit(step, Op.RECEIVE, index, n, aux=flow.pool)
        self.counts.received[index] = self.counts.received.get(index, 0) + n
        self._gained(flow.pool, n, step)
        self.latest = [(flow.pool, n)]

    def _check_capacity(self, step: schema.Step, flow: _Flow, n: int) -> None:
        if n > flow.capacity:
            raise self._error(step, f"{n:,} objects at a time do not fit a queue with a capacity of {flow.capacity:,}")

    def _repeat(self, step: schema.Repeat) -> None:
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
                    f"repeat until {target:,} are held never ends: a round goes from {before:,} held objects to "
                    f"{self.total:,}",
                )


def _listed(numbers: set[int]) -> str:
    return f"{min(numbers):,} to {max(numbers):,}" if numbers else "no"
