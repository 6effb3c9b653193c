# SPDX-License-Identifier: BSD-3-Clause
"""Plays one actor of a workload in Python, draws its random numbers, and writes down what it does.

Passes of a repeat that do the same as the one before are not played: they become a loop on the tape.
"""

from __future__ import annotations

import random
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from typing import NamedTuple

from allocmark.errors import WorkloadError
from allocmark.workload.language.distributions import Distribution
from allocmark.workload.language.schema import Pool
from allocmark.workload.language.steps import (
    ALL,
    MOST_OBJECTS,
    Get,
    Hold,
    Idle,
    Number,
    Put,
    Receive,
    Repeat,
    Resize,
    Send,
    Step,
    Touch,
)
from allocmark.workload.tape.alike import draws, regardless, touches_earlier
from allocmark.workload.tape.context import Context, Flow, MixedError
from allocmark.workload.tape.instructions import LOOP_DEPTH, MOST_COUNT, Insn, Items, Op, Recorder, depth, new_tuple

#: Instructions after which a body with random numbers is long enough; or 32 times as many numbers that were drawn, or
#: 128 times as many places of objects.
RANDOM_BODY = 4096
RANDOM_PASSES = 16384  #: instructions after which passes with random numbers may be repeated as they are
LONGEST = 2_000_000  #: steps played for one actor before it is refused
CLOSING_BULK = 32  #: objects in one of the gets and puts that close a random body

_PUTS = {"oldest": Op.PUT_OLDEST, "newest": Op.PUT_NEWEST, "random": Op.PUT_RANDOM}
_MIXED_PUTS = {"oldest": Op.MIXED_PUT_OLDEST, "newest": Op.MIXED_PUT_NEWEST, "random": Op.MIXED_PUT_RANDOM}


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


class Latest(NamedTuple):
    """Objects of the latest get or receive, of one pool, and the bytes of each that were asked for; None: all that
    objects of its pool have."""

    pool: int
    n: int
    size: int | None = None
    received: bool = False


@dataclass
class Mark:
    """Where an actor stood before some passes of a repeat, and what it held in them at most and at least, by ring.
    ``order``: see `Player`; None when it is not compared."""

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


class Player:
    """One actor: what it holds, what it draws, and the tape so far.

    What it holds is in a *ring* for each pool, oldest first. An actor at a queue that carries objects of several pools
    has one ring for all of them, the last one (`mixed`), as what comes is known only while the tape runs.
    """

    def __init__(self, context: Context, name: str, instance: int) -> None:
        self.context = context
        self.name = name
        self.pools = list(context.workload.pools.values())
        self.pool_names = list(context.workload.pools)
        self.own = context.pools_of[name]
        self.sizes = [pool.object_size for pool in self.pools]
        self.rooms = [*(pool.objects for pool in self.pools), MOST_OBJECTS]  # by ring
        self.step_ids = context.step_ids
        self.mixed = len(self.pools) if name in context.mixing else None
        self.several = len(self.own) > 1 and self.mixed is None
        # The draws depend on the seed and on this actor's name and number: another actor does not change them.
        self.rng = random.Random(zlib.crc32(f"{context.seed}/{name}/{instance}".encode()))
        self.samplers: dict[tuple[int, str], Callable[[], int]] = {}
        self.fits: dict[int, _Fit] = {}  # by id() of a get
        self.held = [0] * (len(self.pools) + 1)  # by ring
        self.total = 0
        self.order = bytearray()  # ring of each held object, oldest first; kept only for several
        self.most_held = [0] * len(self.held)
        self.most_total = 0
        # Since the last mark.
        self.peak, self.dip, self.top = list(self.held), list(self.held), 0
        self.latest: list[Latest] = []
        self.indices = array("I")
        self.got, self.asked = [0] * len(self.pools), [0] * len(self.pools)  # objects and bytes, by pool
        self.recorder = Recorder()
        self.counts = Counts(len(context.flows))
        self.drawn = 0  # numbers
        self.played = 0
        self.do: dict[type, Callable[..., None]] = {
            Get: self._get,
            Touch: self._touch,
            Put: self._put,
            Hold: self._hold,
            Resize: self._resize,
            Send: self._send,
            Receive: self._receive,
            Idle: self._idle,
            Repeat: self._repeat,
        }
        self.acts: dict[int, list[tuple[Callable[..., None], Step]]] = {}  # by id() of steps: what does each
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

    def _most_held(self) -> list[int]:
        """By pool. Where all are held together it is not known which: each may be the pool of all."""
        if self.mixed is None:
            return self.most_held[:-1]
        return [self.most_held[-1] if pool in self.own else 0 for pool in range(len(self.pools))]

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

    def _run(self, steps: Sequence[Step]) -> None:
        self.played += len(steps)
        if self.played > LONGEST:
            raise self._too_long(steps[0])
        for act, step in self._acts(steps):
            act(step)

    def _acts(self, steps: Sequence[Step]) -> list[tuple[Callable[..., None], Step]]:
        if (acts := self.acts.get(id(steps))) is None:
            acting = (step for step in steps if not (isinstance(step, Touch) and step.bytes == 0))
            acts = self.acts[id(steps)] = [(self.do[type(step)], step) for step in acting]
        return acts

    def _too_long(self, step: Step) -> WorkloadError:
        return self._error(
            step,
            f"{self.name} has more than {LONGEST:,} steps to play one by one, as each depends on draws or on what is "
            "held: expected fewer; repeat less often, or get and put more objects at a time (n)",
        )

    def _error(self, step: Step, text: str) -> WorkloadError:
        return self.context.error(step.line, text)

    def _number(self, step: Step, what: str, number: Number) -> int:
        if isinstance(number, int):
            return number
        self.drawn += 1
        return self._sampler(step, what, number)()

    def _sampler(self, step: Step, what: str, number: Distribution) -> Callable[[], int]:
        key = (id(step), what)
        if key not in self.samplers:
            self.samplers[key] = number.sampler(self.rng)
        return self.samplers[key]

    def _emit(self, step: Step, op: Op, target: int = 0, n: int = 0, arg: int = 0, aux: int = 0) -> None:
        self.recorder.add(new_tuple(Insn, (op, target, n, arg, aux, self.step_ids[id(step)])))

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

    def _get(self, step: Get) -> None:
        n = step.n if type(step.n) is int else self._number(step, "n", step.n)
        if (fit := self.fits.get(id(step))) is None:
            fit = self.fits[id(step)] = self._fit(step)
        if (draw := fit.draw) is None:
            wanted = [Latest(fit.among[0], n)]
        elif n == 1:
            drawn = draw()
            wanted = fit.single.get(drawn) or fit.one(drawn, step.exact)
        else:
            sizes = [draw() for _ in range(n)]
            found = [fit[size] for size in sizes]
            wanted = _one_by_one(zip(found, sizes, strict=True)) if step.exact else _by_pool(found, fit.among)
        self.drawn += n * fit.random
        for pool, count, size, _ in wanted:
            self._get_from(pool, count, step, size, step.zeroed)
        self.latest = wanted

    def _fit(self, step: Get) -> _Fit:
        among = [self.context.pool_index[name] for name in step.pools]
        size = step.size
        if isinstance(size, Distribution):
            return _Fit(among, self.pools, size.sampler(self.rng), random=True)
        return _Fit(among, self.pools, None if size is None else repeat(size).__next__, random=False)

    def _get_from(self, pool: int, n: int, step: Step, size: int | None = None, zeroed: bool = False) -> None:
        asked = self.sizes[pool] if size is None else size
        plain = size is None and not zeroed
        if self.mixed is not None:
            self._emit(step, Op.MIXED_GET, pool, n, arg=0 if plain else asked, aux=zeroed)
        elif plain:
            self._emit(step, Op.GET, pool, n, arg=1)
        else:
            self._emit(step, Op.GET_SIZED, pool, n, arg=asked, aux=zeroed)
        self.counts.got += n
        self.got[pool] += n
        self.asked[pool] += n * asked
        self._gained(pool if self.mixed is None else self.mixed, n, step)

    def _touch(self, step: Touch) -> None:
        if not self.latest:
            raise self._error(step, "nothing to touch: what came last is put or sent already; touch it earlier")
        write = step.how == "write"
        if step.bytes == ALL and any(each.received for each in self.latest) and (sized := self.context.sized(self.own)):
            raise self._error(
                step,
                f"objects of pool {sized} are got with sizes of their own ('exact'), which do not travel with them; "
                "expected a number of bytes, or the touch before they are sent",
            )
        if step.bytes == ALL and any(each.size is not None for each in self.latest):
            self._touch_each(step, write)
        elif self.mixed is not None:
            n = sum(each.n for each in self.latest)
            arg = step.bytes if isinstance(step.bytes, int) else MOST_COUNT
            self._emit(step, Op.MIXED_WRITE if write else Op.MIXED_READ, n=n, arg=arg)
        else:
            together: dict[int, int] = {}
            for each in self.latest:
                together[each.pool] = together.get(each.pool, 0) + each.n
            for pool, n in together.items():
                arg = step.bytes if isinstance(step.bytes, int) else self.sizes[pool]
                self._emit(step, Op.WRITE if write else Op.READ, pool, n, arg=arg)

    def _touch_each(self, step: Touch, write: bool) -> None:
        """Objects of sizes of their own, each to its end: the engine finds one by its place from the newest."""
        place = [0] * len(self.held)
        for each in self.latest:
            place[self._ring(each.pool)] += each.n
        for each in self.latest:
            ring = self._ring(each.pool)
            for _ in range(each.n):
                self._emit(step, Op.TOUCH_AT, ring, place[ring], arg=each.size or 0, aux=write)
                place[ring] -= 1

    def _ring(self, pool: int) -> int:
        return pool if self.mixed is None else self.mixed

    def _put(self, step: Put) -> None:
        ring = self._ring_of(step, step.pool)
        held = self.total if ring is None else self.held[ring]
        if step.which == "all" or step.n is None:
            n = held
        else:
            n = step.n if type(step.n) is int else self._number(step, "n", step.n)
        if n > held:
            of = f" of pool {step.pool!r}" if step.pool else ""
            raise self._error(step, f"put of {n:,} objects, and {self.name} holds {held:,}{of} here; put fewer")
        self._release(n, step.which, ring, step)

    def _hold(self, step: Hold) -> None:
        ring = self._ring_of(step, step.pool)
        held = self.total if ring is None else self.held[ring]
        self._release(held - self._number(step, "objects", step.objects), step.release, ring, step)

    def _ring_of(self, step: Put | Hold, pool: str | None) -> int | None:
        """The ring that a step takes from; None: from all."""
        if self.mixed is None:
            return None if pool is None else self.context.pool_index[pool]
        if pool is not None:
            raise self._error(
                step,
                f"found a {step.kind} from pool {pool!r}, and {self.name} holds objects of several pools as they come "
                "through a queue; expected no 'from': it takes them in the order in which they came",
            )
        return self.mixed

    def _release(self, n: int, which: str, ring: int | None, step: Step) -> None:
        """Put n of the objects held, one bulk per ring."""
        if n <= 0:
            return
        if ring is None and not self.several:
            ring = self.own[0]
        if ring is None:
            for chosen, count in self._choose(n, which):
                self._put_from(chosen, count, which, step)
            return
        self._put_from(ring, n, which, step)
        if self.several:
            self._forget(ring, n, which)

    def _choose(self, n: int, which: str) -> Sequence[tuple[int, int]]:
        """(ring, number) of the n objects that go; takes them out of `order`."""
        order = self.order
        if which == "random":
            self.drawn += 1
            # As the engine does it: each is brought to the old end, in exchange with the one there.
            left, draw = len(order), self.rng.random
            for place in range(n):
                chosen = place + int(draw() * (left - place))
                order[place], order[chosen] = order[chosen], order[place]
        first = len(order) - n if which == "newest" else 0
        if n == 1:
            return ((order.pop(first), 1),)
        gone = order[first : first + n]
        del order[first : first + n]
        return [(ring, count) for ring in self.own if (count := gone.count(ring))]

    def _forget(self, ring: int, n: int, which: str) -> None:
        """Takes n objects of one ring out of `order`."""
        own = bytes((ring,))
        if which == "newest":
            self.order = bytearray().join(self.order.rsplit(own, n))
        else:
            self.order = self.order.replace(own, b"", n)

    def _put_from(self, ring: int, n: int, which: str, step: Step) -> None:
        puts = _PUTS if ring != self.mixed else _MIXED_PUTS
        if which == "random" and n < (held := self.held[ring]):
            self.drawn += 1
            self._emit(step, puts["random"], ring, n, arg=len(self.indices))
            draw = self.rng.random
            if n == 1:
                self.indices.append(int(draw() * held))
            else:
                self.indices.extend([int(draw() * left) for left in range(held, held - n, -1)])
        else:
            self._emit(step, puts["newest" if which == "newest" else "oldest"], ring, n, arg=1)
        self._lost(ring, n)

    def _resize(self, step: Resize) -> None:
        if self.mixed is not None:
            raise self._error(
                step,
                f"found a resize, and {self.name} holds objects of several pools as they come through a queue; "
                "expected it before they are sent",
            )
        old, new = (self.context.pool_index[name] for name in (step.pool, step.to))
        if step.n > self.held[old]:
            raise self._error(
                step, f"resize of {step.n:,} objects, and {self.name} holds {self.held[old]:,} of {step.pool} here"
            )
        self._emit(step, Op.RESIZE, old, step.n, arg=step.which == "newest", aux=new)
        self.counts.got += step.n
        self.got[new] += step.n
        self.asked[new] += step.n * self.pools[new].object_size
        self._gained(new, step.n, step)  # for a moment there may be both
        self._lost(old, step.n)
        self._forget(old, step.n, step.which)
        self.latest = [Latest(new, step.n)]

    def _send(self, step: Send) -> None:
        index = self.context.queue_index[step.queue]
        flow = self.context.flows[index]
        if flow.mixed:
            ring = len(self.pools)
            held = self.total
        else:
            rings = [ring for ring, n in enumerate(self.held) if n]
            if len(rings) > 1 or (rings and flow.pool not in (None, rings[0])):
                raise MixedError(index)
            ring = rings[0] if rings else 0
            held = self.held[ring]
        if not held:
            raise self._error(step, f"send to {step.queue!r}, and nothing is held")
        n = held if step.n is None else step.n
        if n > held:
            raise self._error(step, f"send of {n:,} objects, and {self.name} holds {held:,} here; send fewer")
        if not flow.mixed:
            flow.pool = ring
        flow.bulks.add(n)
        self._check_capacity(step, flow, n)
        self._emit(step, Op.MIXED_SEND if flow.mixed else Op.SEND, index, n, aux=ring)
        self.counts.sent[index] += n
        self._lost(ring, n)
        if self.several:
            self._forget(ring, n, "oldest")

    def _receive(self, step: Receive) -> None:
        index = self.context.queue_index[step.queue]
        flow = self.context.flows[index]
        if flow.pool is None and not flow.mixed:
            if len(self.own) != 1:  # a circle of actors that wait for each other
                raise MixedError(index)
            flow.pool = self.own[0]
        n = step.n
        if n is None:
            if len(flow.bulks) != 1:
                raise self._error(step, f"receive needs n: {flow.sender} sends {_range(flow.bulks)} objects at a time")
            n = next(iter(flow.bulks))
        self._check_capacity(step, flow, n)
        ring = len(self.pools) if flow.mixed else flow.pool or 0
        self._emit(step, Op.MIXED_RECEIVE if flow.mixed else Op.RECEIVE, index, n, aux=ring)
        self.counts.received[index] += n
        self._gained(ring, n, step)
        self.latest = [Latest(ring, n, received=True)]

    def _check_capacity(self, step: Step, flow: Flow, n: int) -> None:
        if n > flow.capacity:
            raise self._error(step, f"{n:,} objects at a time do not fit a queue with a capacity of {flow.capacity:,}")

    def _idle(self, step: Idle) -> None:
        if ns := self._number(step, "ns", step.ns):
            self._emit(step, Op.IDLE, n=ns)

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


class _Fit(dict[int, int]):
    """The pool of each size: the smallest of ``among`` that fits. ``draw`` gives the sizes of a get, which are
    ``random`` or all the same; None: the size of its pool."""

    def __init__(
        self, among: Sequence[int], pools: Sequence[Pool], draw: Callable[[], int] | None, random: bool
    ) -> None:
        super().__init__()
        self.among, self.draw, self.random = among, draw, random
        self.single: dict[int, list[Latest]] = {}  # by size: what a get of one object of that size brings
        self.rooms = sorted((pools[number].object_size, number) for number in among)

    def __missing__(self, size: int) -> int:
        self[size] = next(number for room, number in self.rooms if room >= size)
        return self[size]

    def one(self, size: int, exact: bool) -> list[Latest]:
        """A get of one object of that size, which is asked for exactly or not; kept in `single`."""
        self.single[size] = [Latest(self[size], 1, size if exact else None)]
        return self.single[size]


def _one_by_one(found: Iterable[tuple[int, int]]) -> list[Latest]:
    """(pool, size) of each object, in their order."""
    latest: list[Latest] = []
    for pool, size in found:
        same = latest and (latest[-1].pool, latest[-1].size) == (pool, size)
        latest[-1:] = [Latest(pool, latest[-1].n + 1, size)] if same else [*latest[-1:], Latest(pool, 1, size)]
    return latest


def _by_pool(found: Sequence[int], pools: Sequence[int]) -> list[Latest]:
    """The pool of each object: a bulk from each pool."""
    first = found[0]
    if found.count(first) == len(found):
        return [Latest(first, len(found))]
    return [Latest(pool, n) for pool in pools if (n := found.count(pool))]


def _range(numbers: set[int]) -> str:
    return f"{min(numbers):,} to {max(numbers):,}" if numbers else "no"
