# SPDX-License-Identifier: BSD-3-Clause
"""Checks between the parts of a case: names that exist, sizes that fit, queues with two ends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from allocmark.errors import unknown
from allocmark.workload.language.distributions import Distribution
from allocmark.workload.language.parts import Part
from allocmark.workload.language.steps import (
    Get,
    Hold,
    Number,
    Put,
    PutAll,
    Receive,
    Repeat,
    Resize,
    Send,
    Step,
    Touch,
)

if TYPE_CHECKING:
    from allocmark.workload.language.schema import Pool, Workload

MOST_ACTORS = 256  #: threads of a workload

Pools = frozenset[str]
NONE: Pools = frozenset()


class CaseError(Exception):
    """A case that cannot run; ``line`` is the line in the file to look at."""

    def __init__(self, part: Part, text: str) -> None:
        super().__init__(text)
        self.line = part.line


def checked(workload: Workload) -> Workload:
    """The workload without the pools and queues that this case does not use. Raises `CaseError`."""
    threads = 0
    for actor in workload.actors.values():
        threads += actor.count
        if threads > MOST_ACTORS:
            raise CaseError(actor, f"found more than {MOST_ACTORS} actors in all; expected fewer")
        for step in walk(actor.steps):
            _check_names(workload, step)
            if isinstance(step, Get) and step.size is not None:
                _check_size(workload.pools, step, step.size)
    _check_ends(workload)
    _check_objects(workload)
    steps = [step for actor in workload.actors.values() for step in walk(actor.steps)]
    pools = {name for step in steps if isinstance(step, Get) for name in step.pools}
    if not pools:
        first = next(iter(workload.actors.values()))
        raise CaseError(first, "found no 'get' in any actor; expected at least one")
    pools |= {step.to for step in steps if isinstance(step, Resize)}
    queues = {step.queue for step in steps if isinstance(step, Send)}
    for step in steps:
        if isinstance(step, Put | PutAll | Hold | Resize) and step.pool is not None and step.pool not in pools:
            raise CaseError(step, f"found a {step.kind} from {step.pool}, and no step that gets from it; expected one")
        if isinstance(step, Resize) and _usable(workload)[step.pool] < workload.pools[step.pool].object_size:
            raise CaseError(step, f"found a resize from {step.pool}, whose objects have sizes of their own ('exact')")
    return workload.model_copy(
        update={
            "pools": {name: pool for name, pool in workload.pools.items() if name in pools},
            "queues": {name: queue for name, queue in workload.queues.items() if name in queues},
        }
    )


def walk(steps: Iterable[Step]) -> Iterator[Step]:
    """Every step, those inside `Repeat` included, in the order of the file."""
    for step in steps:
        yield step
        if isinstance(step, Repeat):
            yield from walk(step.steps)


def highest(number: Number) -> int:
    return number.maximum if isinstance(number, Distribution) else number


def lowest(number: Number) -> int:
    return number.minimum if isinstance(number, Distribution) else number


def _check_names(workload: Workload, step: Step) -> None:
    pools: tuple[str | None, ...] = ()
    if isinstance(step, Get):
        pools = step.pools
    elif isinstance(step, Put | PutAll | Hold | Resize):
        pools = (step.pool, step.to) if isinstance(step, Resize) else (step.pool,)
    for pool in pools:
        if pool is not None and pool not in workload.pools:
            raise CaseError(step, unknown("pool", pool, workload.pools))
    if isinstance(step, Send | Receive):
        if step.queue not in workload.queues:
            raise CaseError(step, unknown("queue", step.queue, workload.queues))
        capacity = workload.queues[step.queue].capacity
        if step.n is not None and step.n > capacity:
            raise CaseError(step, f"found n: {step.n}; expected at most {capacity}, the capacity")


def _check_size(pools: Mapping[str, Pool], step: Get, size: Number) -> None:
    largest = max(pools[name].object_size for name in step.pools)
    if highest(size) > largest:
        expected = f"expected at most {largest}, the largest object_size of its pools"
        raise CaseError(step, f"found a size of {highest(size)}; {expected}")


def _check_ends(workload: Workload) -> None:
    """A queue that is used has one kind of actor at each end."""
    ends: dict[tuple[type[Step], str], str] = {}
    used: dict[str, Step] = {}
    for name, actor in workload.actors.items():
        for step in walk(actor.steps):
            if not isinstance(step, Send | Receive):
                continue
            used.setdefault(step.queue, step)
            other = ends.setdefault((type(step), step.queue), name)
            if other != name:
                verb = "sending to" if isinstance(step, Send) else "receiving from"
                raise CaseError(step, f"found {name} beside {other}; expected one kind of actor {verb} {step.queue}")
    for queue, step in used.items():
        for end, verb in ((Send, "sends to"), (Receive, "receives from")):
            if (end, queue) not in ends:
                raise CaseError(step, f"found no actor that {verb} {queue}; expected one")


def _check_objects(workload: Workload) -> None:
    """Every touch fits the smallest object that it can meet, and steps that need objects can hold some."""
    arriving = _arriving(workload)
    for actor in workload.actors.values():
        flow = _Flow(workload.pools, arriving, _usable(workload))
        start = flow.after(actor.steps, NONE)  # steps run over and over: what the last one leaves meets the first
        flow.checking = True
        flow.after(actor.steps, start)


def held_by(workload: Workload) -> dict[str, Pools]:
    """By actor: the pools whose objects it may hold."""
    arriving = _arriving(workload)
    return {
        name: NONE.union(*(_taken(step, workload.pools, arriving) for step in walk(actor.steps)))
        for name, actor in workload.actors.items()
    }


def _arriving(workload: Workload) -> dict[str, Pools]:
    """From which pools the objects in each queue may come, through any number of hand-overs."""
    arriving: dict[str, Pools] = defaultdict(frozenset)
    while True:
        before = dict(arriving)
        for actor in workload.actors.values():
            steps = list(walk(actor.steps))
            held = NONE.union(*(_taken(step, workload.pools, arriving) for step in steps))
            for step in steps:
                if isinstance(step, Send):
                    arriving[step.queue] |= held
        if arriving == before:
            return arriving


def _taken(step: Step, pools: Mapping[str, Pool], arriving: Mapping[str, Pools]) -> Pools:
    """The pools from which a step may bring objects to its actor."""
    if isinstance(step, Receive):
        return arriving.get(step.queue, NONE)
    if isinstance(step, Resize):
        return frozenset((step.to,))
    if not isinstance(step, Get):
        return NONE
    if step.size is None:
        return frozenset(step.pools)
    sizes = {pools[name].object_size for name in step.pools}
    largest = min(size for size in sizes if size >= highest(step.size))
    return frozenset(n for n in step.pools if lowest(step.size) <= pools[n].object_size <= largest)


def _usable(workload: Workload) -> dict[str, int]:
    """By pool: the bytes that may be used of each object."""
    usable = {name: pool.object_size for name, pool in workload.pools.items()}
    for actor in workload.actors.values():
        for step in walk(actor.steps):
            if isinstance(step, Get) and step.exact and step.size is not None:
                for name in _taken(step, workload.pools, {}):
                    usable[name] = min(usable[name], lowest(step.size))
    return usable


class _Flow:
    """Follows an actor's steps and keeps the pools that its latest get or receive may have used."""

    def __init__(self, pools: Mapping[str, Pool], arriving: Mapping[str, Pools], usable: Mapping[str, int]) -> None:
        self.pools, self.arriving, self.usable = pools, arriving, usable
        self.checking = False

    def after(self, steps: Iterable[Step], latest: Pools) -> Pools:
        for step in steps:
            if isinstance(step, Resize) and self.checking and not latest:
                self.check(step, latest)
            if isinstance(step, Get | Receive | Resize):
                latest = _taken(step, self.pools, self.arriving)
            elif isinstance(step, Repeat):
                checking, self.checking = self.checking, False
                once = self.after(step.steps, latest)
                self.checking = checking
                latest |= self.after(step.steps, latest | once)
            elif self.checking and isinstance(step, Touch | Put | PutAll | Hold | Send):
                self.check(step, latest)
        return latest

    def check(self, step: Touch | Put | PutAll | Hold | Resize | Send, latest: Pools) -> None:
        if not latest:
            raise CaseError(step, f"found {step.kind} with nothing held; expected a get or receive first")
        if isinstance(step, Touch) and isinstance(step.bytes, int):
            smallest = min(latest, key=lambda name: self.usable[name])
            size = self.usable[smallest]
            if step.bytes > size:
                own = size == self.pools[smallest].object_size
                what = f"the object_size of {smallest}" if own else f"the smallest size asked of {smallest}"
                expected = f"expected at most {size}, {what}; or bytes: all, each to its own end"
                raise CaseError(step, f"found a touch of {step.bytes} bytes; {expected}")
