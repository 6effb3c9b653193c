# SPDX-License-Identifier: BSD-3-Clause
"""One actor, step by step: what it draws, what it holds after each step, and the instructions that it writes down."""

from __future__ import annotations

import random
import zlib
from array import array
from collections.abc import Callable, Sequence
from itertools import repeat

from allocmark.errors import WorkloadError
from allocmark.workload.language.distributions import Distribution
from allocmark.workload.language.steps import (
    ALL,
    Get,
    Hold,
    Idle,
    Number,
    Put,
    PutAll,
    Receive,
    Resize,
    Send,
    Step,
    Touch,
)
from allocmark.workload.tape.brought import Latest, PoolOfSize, by_pool, one_by_one
from allocmark.workload.tape.context import Context, Flow, MixedError
from allocmark.workload.tape.holding import Holding
from allocmark.workload.tape.instructions import MOST_COUNT, Insn, Op, Recorder, new_tuple
from allocmark.workload.tape.recorded import Counts

LONGEST = 2_000_000  #: steps played for one actor before it is refused

_PUTS = {"oldest": Op.PUT_OLDEST, "newest": Op.PUT_NEWEST, "random": Op.PUT_RANDOM}
_MIXED_PUTS = {"oldest": Op.MIXED_PUT_OLDEST, "newest": Op.MIXED_PUT_NEWEST, "random": Op.MIXED_PUT_RANDOM}


class Acting(Holding):
    """One actor: what it holds, what it draws, and the tape so far."""

    def __init__(self, context: Context, name: str, instance: int) -> None:
        super().__init__(context, name)
        self.step_ids = context.step_ids
        # The draws depend on the seed and on this actor's name and number: another actor does not change them.
        self.rng = random.Random(zlib.crc32(f"{context.seed}/{name}/{instance}".encode()))
        self.samplers: dict[tuple[int, str], Callable[[], int]] = {}
        self.fits: dict[int, PoolOfSize] = {}  # by id() of a get
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
            PutAll: self._put_all,
            Hold: self._hold,
            Resize: self._resize,
            Send: self._send,
            Receive: self._receive,
            Idle: self._idle,
        }
        self.acts: dict[int, list[tuple[Callable[..., None], Step]]] = {}  # by id() of steps: what does each

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
            wanted = one_by_one(zip(found, sizes, strict=True)) if step.exact else by_pool(found, fit.among)
        self.drawn += n * fit.random
        for pool, count, size, _ in wanted:
            self._get_from(pool, count, step, size, step.zeroed)
        self.latest = wanted

    def _fit(self, step: Get) -> PoolOfSize:
        among = [self.context.pool_index[name] for name in step.pools]
        size = step.size
        if isinstance(size, Distribution):
            return PoolOfSize(among, self.pools, size.sampler(self.rng), random=True)
        return PoolOfSize(among, self.pools, None if size is None else repeat(size).__next__, random=False)

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

    def _put_all(self, step: PutAll) -> None:
        self._refuse_where_mixed(step, "a pool of which none are sent")
        ring = self.context.pool_index[step.pool]
        if not (n := self.held[ring]):
            return
        self._emit(step, Op.PUT_ALL, ring, n)
        self._lost(ring, n)
        if self.several:
            self._forget(ring, n, "oldest")

    def _hold(self, step: Hold) -> None:
        ring = self._ring_of(step, step.pool)
        held = self.total if ring is None else self.held[ring]
        self._release(held - self._number(step, "objects", step.objects), step.release, ring, step)

    def _refuse_where_mixed(self, step: PutAll | Resize, expected: str) -> None:
        if self.mixed is not None:
            raise self._error(
                step,
                f"found a {step.kind}, and {self.name} holds objects of several pools as they come through a queue; "
                f"expected {expected}",
            )

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
        self._refuse_where_mixed(step, "it before they are sent")
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


def _range(numbers: set[int]) -> str:
    return f"{min(numbers):,} to {max(numbers):,}" if numbers else "no"
