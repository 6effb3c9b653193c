# SPDX-License-Identifier: BSD-3-Clause
"""Compiles one case of a workload to tapes.

Each actor is played through in Python (play.py), and what it does is written down. What an actor holds is known at
every step (a get or a receive that finds too little waits in the engine), so ``put: random`` becomes exact
places, a mix of sizes becomes gets from known pools, and the tape needs no decision.

A tape has a *prologue*, which brings the live set to its steady size, and a *body*, which is run over and over
and leaves the live set as large as it found it. A body with random numbers spans many passes over the
steps, so that it does not repeat itself soon. Here the actors are put together: how often each runs its body so that
every queue ends as it began.
"""

from __future__ import annotations

from fractions import Fraction
from math import gcd, lcm

from allocmark.errors import WorkloadError
from allocmark.workload.language import schema
from allocmark.workload.language.checks import walk
from allocmark.workload.tape.instructions import assemble, roll
from allocmark.workload.tape.play import Context, Player, Recorded
from allocmark.workload.tape.program import Program, ProgramActor, ProgramPool, ProgramQueue

MOST_SETTLING = 10_000  #: passes an actor may need until the queues are even, for each pass of its unit


def compile_workload(workload: schema.Workload, seed: int, path: str = "workload") -> Program:
    """Tapes for every actor of a concrete workload. The same seed gives the same tapes, everywhere.

    Raises WorkloadError for a shape that cannot run: more put than held, a live set that grows for ever,
    queues that are filled faster than they are emptied, a pool smaller than what its actors hold.
    """
    return _Compiler(Context(workload, seed, path)).program()


class _Compiler:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.workload = context.workload
        self.flows = context.flows

    def program(self) -> Program:
        coupled = {flow.sender for flow in self.flows} | {flow.receiver for flow in self.flows}

        recorded: dict[str, list[Recorded]] = {}
        for name in self._senders_first():
            actor = self.workload.actors[name]
            # Actors of one kind that share queues draw alike, so that what they send adds up.
            instances = 1 if name in coupled else actor.count
            played = [Player(self.context, name, i).play(actor.steps) for i in range(instances)]
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
            steps=tuple(self.context.steps),
        )

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

    def _rates(self, recorded: dict[str, list[Recorded]]) -> dict[str, int]:
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
                        raise self.context.error(self._queue_line(index), self._unbalanced(index, sent, received))
                    ratio = Fraction(sent, received) if known == flow.sender else Fraction(received, sent)
                    wanted = group[known] * ratio
                    if other not in group:
                        group[other] = wanted
                        grew = True
                    elif group[other] != wanted:
                        raise self.context.error(self._queue_line(index), self._unbalanced(index, sent, received))
            scale = lcm(*(value.denominator for value in group.values()))
            shrink = gcd(*(int(value * scale) for value in group.values()))
            rate |= {name: value * scale / shrink for name, value in group.items()}
        return {name: int(value) for name, value in rate.items()}

    def _queue_line(self, index: int) -> int:
        name = self.flows[index].sender
        for step in walk(self.workload.actors[name].steps):
            if isinstance(step, schema.Send) and self.context.queue_index[step.queue] == index:
                return step.line
        return 1

    def _unbalanced(self, index: int, sent: int, received: int) -> str:
        flow = self.flows[index]
        queue = list(self.workload.queues)[index]
        return (
            f"queue {queue!r}: a pass of {flow.sender} sends {sent:,} objects and a pass of {flow.receiver} "
            f"receives {received:,}, and no number of passes makes that even on all queues"
        )

    def _settle(self, recorded: dict[str, list[Recorded]], rates: dict[str, int]) -> dict[str, int]:
        """Passes after the prologue with which the queues are empty again when the first sample starts."""
        passes = dict.fromkeys(self.workload.actors, 0)
        for _ in range(MOST_SETTLING * (1 + max(rates.values()))):
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
        raise self.context.error(
            1,
            "the live sets of its actors cannot be filled through the queues evenly; choose "
            "sizes of `hold` that are multiples of what is received at a time",
        )

    def _check_pools(self, recorded: dict[str, list[Recorded]]) -> list[int]:
        """The most that is out of each pool for each actor that gets from it: its working set."""
        working_sets = []
        for index, (name, pool) in enumerate(self.workload.pools.items()):
            held = sum(tape.most_held[index] for tapes in recorded.values() for tape in tapes)
            if held > pool.objects:
                raise WorkloadError(
                    f"{self.context.path}: pool {name!r} has {pool.objects:,} objects and its actors hold up to "
                    f"{held:,} at once; give it more, or hold less"
                )
            queued = sum(flow.capacity for flow in self.flows if flow.pool == index)
            getters = sum(
                self.workload.actors[actor].count
                for actor in recorded
                if any(
                    isinstance(step, schema.Get) and name in step.pools
                    for step in walk(self.workload.actors[actor].steps)
                )
            )
            working_sets.append(max(1, min(pool.objects, held + queued) // max(1, getters)))
        return working_sets
