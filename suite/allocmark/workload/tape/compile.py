# SPDX-License-Identifier: BSD-3-Clause
"""Compiles one case of a workload to tapes.

play.py plays each actor in Python and writes down what it does. It knows what the actor holds at every step, because in
the engine a get or a receive that finds too few objects waits. So ``put: random`` becomes exact places, a mix of sizes
becomes gets from known pools, and nothing is left to decide while the tape runs.

Each actor has two tapes: the *prologue* brings its live set to a steady size; the *body* runs over and over and leaves
the live set as large as before. One run of the body is an *iteration*. A body with random numbers spans many runs of
the steps, so that it does not repeat soon. This file puts the actors together: a *unit* is the smallest number of
iterations of every actor after which each queue holds as many objects as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import gcd, lcm

from allocmark.errors import WorkloadError
from allocmark.workload.language.checks import walk
from allocmark.workload.language.schema import Workload
from allocmark.workload.language.steps import Get, PutAll, Receive, Send
from allocmark.workload.tape.alike import draws
from allocmark.workload.tape.context import Context, Flow, MixedError
from allocmark.workload.tape.instructions import Insn, Items, Loop, Op, assemble, roll
from allocmark.workload.tape.play import Player
from allocmark.workload.tape.program import Program, ProgramActor, ProgramPool, ProgramQueue
from allocmark.workload.tape.recorded import Recorded

MOST_SETTLING = 10_000  #: iterations until the queues are empty, for each iteration of the largest unit


def compile_workload(workload: Workload, seed: int, path: str = "workload") -> Program:
    """Tapes for every actor of a case. The same seed gives the same tapes on every machine.

    ``path`` names the file in errors. Raises WorkloadError for what cannot run: more put than held, a live set that
    grows for ever, queues that are filled faster than they are emptied, a pool smaller than what its actors hold.
    """
    return _played(workload, seed, path).program()


def check_workload(workload: Workload, seed: int, path: str = "workload") -> None:
    """Raises WorkloadError where `compile_workload` does; it makes no tapes, of what was played to its end."""
    _played(workload, seed, path)


def _played(workload: Workload, seed: int, path: str) -> _Compiler:
    mixed: set[int] = set()
    doubling = True
    while True:
        try:
            return _Compiler(Context(workload, seed, path, mixed), doubling)
        except MixedError as found:
            mixed.add(found.queue)
        except _UnevenError:
            doubling = False


class _UnevenError(Exception):
    """No number of iterations empties the queues, where the actors' random iterations are doubled."""


class _Compiler:
    """A case that is played: what each actor does, how often in a unit, and what it holds of each pool."""

    def __init__(self, context: Context, doubling: bool) -> None:
        self.context = context
        self.workload = context.workload
        self.flows = context.flows
        self.coupled = {flow.sender for flow in self.flows} | {flow.receiver for flow in self.flows}
        # See `Player.play`.
        self.doubling = doubling and sum(draws(self.workload.actors[name].steps) for name in self.coupled) > 1
        self.recorded = self._play()
        self._check_regions(self.recorded)
        self.rates = self._rates(self.recorded)
        self.settle = self._settle(self.recorded, self.rates)
        self.working_sets = self._working_sets(self.recorded)

    def _play(self) -> dict[str, list[Recorded]]:
        recorded: dict[str, list[Recorded]] = {}
        for name in self._senders_first():
            actor = self.workload.actors[name]
            # Actors of one kind on a queue draw the same numbers, so that what is sent equals what is received.
            coupled = name in self.coupled
            played = [
                Player(self.context, name, i).play(actor.steps, actor.threads_end, self.doubling and coupled)
                for i in range(1 if coupled else actor.count)
            ]
            recorded[name] = played * (actor.count if coupled else 1)
        return recorded

    def program(self) -> Program:
        asked = self._asked(self.recorded)
        return Program(
            workload=self.workload.name,
            pools=tuple(
                ProgramPool(name=name, **pool.model_dump(), working_set=working_set)
                for (name, pool), working_set in zip(self.workload.pools.items(), self.working_sets, strict=True)
            ),
            queues=tuple(
                ProgramQueue(
                    name=name,
                    capacity=queue.capacity,
                    senders=self.workload.actors[flow.sender].count,
                    receivers=self.workload.actors[flow.receiver].count,
                )
                for (name, queue), flow in zip(self.workload.queues.items(), self.flows, strict=True)
            ),
            actors=tuple(
                ProgramActor(
                    name=f"{name}[{i}]",
                    prologue=assemble(roll(tape.prologue)),
                    body=assemble(roll(tape.body)),
                    indices=tape.indices.tobytes(),
                    ring_capacity=tuple(tape.most_held),
                    mixed_capacity=tape.most_mixed,
                    live_bytes=self._live_bytes(name, tape, asked),
                    iterations=self.rates[name],
                    settle_iterations=self.settle[name],
                    objects=tape.body_counts.got,
                    coupled=name in self.coupled,
                    ends=self.workload.actors[name].threads_end,
                )
                for name in self.workload.actors
                for i, tape in enumerate(self.recorded[name])
            ),
            steps=tuple(self.context.steps),
        )

    def _senders_first(self) -> list[str]:
        """Actors, each after those that send to it: what a queue carries is known before it is received."""
        order: list[str] = []
        waiting = list(self.workload.actors)
        while waiting:
            ready = [
                name
                for name in waiting
                if all(f.sender in order or f.sender == name for f in self.flows if f.receiver == name)
            ]
            # In a circle of actors one has to begin; its receives must then say what they take.
            chosen = ready[0] if ready else waiting[0]
            order.append(chosen)
            waiting.remove(chosen)
        return order

    def _check_regions(self, recorded: dict[str, list[Recorded]]) -> None:
        """A pool that is put all at once is one actor's, and none of its objects is in a queue then."""
        for actor in self.workload.actors.values():
            for step in walk(actor.steps):
                if not isinstance(step, PutAll):
                    continue
                index = self.context.pool_index[step.pool]
                for queue, flow in zip(self.workload.queues, self.flows, strict=True):
                    if index in self._carried(flow):
                        found = f"whose objects go through queue {queue!r}; expected none of them in a queue"
                        raise self.context.error(step.line, f"found a put_all of pool {step.pool!r}, {found}")
                users = sum(tape.most_held[index] > 0 for tapes in recorded.values() for tape in tapes)
                if users > 1:
                    found = f"which {users} actors use; expected one, as it takes back what all of them hold"
                    raise self.context.error(step.line, f"found a put_all of pool {step.pool!r}, {found}")

    def _rates(self, recorded: dict[str, list[Recorded]]) -> dict[str, int]:
        """Iterations of each kind of actor in one unit."""
        rate: dict[str, Fraction] = {}
        for first in self.workload.actors:
            if first in rate:
                continue
            coupled = {first: Fraction(1)}  # actors that queues couple with `first`: iterations per iteration of it
            grew = True
            while grew:
                grew = False
                for index, flow in enumerate(self.flows):
                    known, other = (
                        (flow.sender, flow.receiver) if flow.sender in coupled else (flow.receiver, flow.sender)
                    )
                    if known not in coupled:
                        continue
                    sent = sum(tape.body_counts.sent[index] for tape in recorded[flow.sender])
                    received = sum(tape.body_counts.received[index] for tape in recorded[flow.receiver])
                    if not sent or not received:
                        raise self._unbalanced(index, sent, received)
                    ratio = Fraction(sent, received) if known == flow.sender else Fraction(received, sent)
                    wanted = coupled[known] * ratio
                    if other not in coupled:
                        coupled[other] = wanted
                        grew = True
                    elif coupled[other] != wanted:
                        raise self._unbalanced(index, sent, received)
            scale = lcm(*(value.denominator for value in coupled.values()))
            shrink = gcd(*(int(value * scale) for value in coupled.values()))
            rate |= {name: value * scale / shrink for name, value in coupled.items()}
        return {name: int(value) for name, value in rate.items()}

    def _unbalanced(self, index: int, sent: int, received: int) -> WorkloadError:
        flow, name = self.flows[index], list(self.workload.queues)[index]
        steps = walk(self.workload.actors[flow.sender].steps)
        line = next(step.line for step in steps if isinstance(step, Send) and step.queue == name)
        return self.context.error(
            line,
            f"queue {name!r}: in one iteration {flow.sender} sends {sent:,} objects and {flow.receiver} receives "
            f"{received:,}, and no number of iterations leaves every queue as it was: make them match",
        )

    def _settle(self, recorded: dict[str, list[Recorded]], rates: dict[str, int]) -> dict[str, int]:
        """Iterations after the prologue that leave the queues empty before the first sample."""
        if (iterations := self._evened(recorded, rates)) is not None:
            return iterations
        # Some actors fill a live set from a queue before they hand anything on: their senders send that in advance.
        short = []
        for index, flow in enumerate(self.flows):
            sent, received = self._exchanged(index, recorded, "prologue_counts")
            if received > sent:
                short.append(index)
                self._send_in_advance(index, received - sent, recorded[flow.sender])
        if short and (iterations := self._evened(recorded, rates)) is not None:
            return iterations
        if self.doubling:
            raise _UnevenError
        index = short[0] if short else 0
        flow, name = self.flows[index], list(self.workload.queues)[index]
        sent, received = self._exchanged(index, recorded, "prologue_counts")
        steps = walk(self.workload.actors[flow.receiver].steps)
        raise self.context.error(
            next(step.line for step in steps if isinstance(step, Receive) and step.queue == name),
            f"queue {name!r}: to fill its live set {flow.receiver} receives {received:,} objects, {flow.sender} sends "
            f"{sent:,} by then, and no number of iterations leaves the queues empty: fill to a multiple of what is "
            "received at a time (`hold`, `until_held`)",
        )

    def _exchanged(self, index: int, recorded: dict[str, list[Recorded]], counts: str) -> tuple[int, int]:
        """Objects sent to a queue and received from it, in one of the tapes of all actors."""
        flow = self.flows[index]
        sent = sum(getattr(tape, counts).sent[index] for tape in recorded[flow.sender])
        return sent, sum(getattr(tape, counts).received[index] for tape in recorded[flow.receiver])

    def _evened(self, recorded: dict[str, list[Recorded]], rates: dict[str, int]) -> dict[str, int] | None:
        """Iterations of each actor after which every queue is empty; None when there are none."""
        iterations = dict.fromkeys(self.workload.actors, 0)
        before = [self._exchanged(index, recorded, "prologue_counts") for index in range(len(self.flows))]
        each = [self._exchanged(index, recorded, "body_counts") for index in range(len(self.flows))]
        most = MOST_SETTLING * (1 + max(rates.values()))
        while max(iterations.values()) <= most:
            even = True
            for flow, (sent, received), (sends, receives) in zip(self.flows, before, each, strict=True):
                missing = sent + iterations[flow.sender] * sends - received - iterations[flow.receiver] * receives
                if missing < 0:
                    iterations[flow.sender] += -(missing // sends)
                elif missing > 0:
                    iterations[flow.receiver] += -(-missing // receives)
                even = even and missing == 0
            if even:
                return iterations
        return None

    def _send_in_advance(self, index: int, n: int, senders: list[Recorded]) -> None:
        """Has the senders get n objects more, and send them, at the beginning of their prologues; where they can."""
        flow, name = self.flows[index], list(self.workload.queues)[index]
        steps = list(walk(self.workload.actors[flow.sender].steps))
        send = next(step for step in steps if isinstance(step, Send) and step.queue == name)
        got = {self.context.pool_index[pool] for step in steps if isinstance(step, Get) for pool in step.pools}
        bulk = min(flow.bulks)
        pool = min(got, default=None) if flow.mixed else flow.pool
        if pool is None or pool not in got:
            return
        step_id = self.context.step_ids[id(send)]

        def handed(n: int) -> tuple[Insn, Insn]:
            if flow.mixed:
                return Insn(Op.MIXED_GET, pool, n, step=step_id), Insn(Op.MIXED_SEND, index, n, step=step_id)
            return Insn(Op.GET, pool, n, 1, step=step_id), Insn(Op.SEND, index, n, aux=pool, step=step_id)

        for place, tape in enumerate(senders):
            times = n // bulk // len(senders) + (place < n // bulk % len(senders))
            rest = 0 if place else n % bulk
            ahead: Items = [Loop(times, handed(bulk))] if times else []
            ahead += handed(rest) if rest else ()
            counts = tape.prologue_counts.copy()
            counts.got += times * bulk + rest
            counts.sent[index] += times * bulk + rest
            senders[place] = replace(tape, prologue=[*ahead, *tape.prologue], prologue_counts=counts)

    def _carried(self, flow: Flow) -> Sequence[int]:
        """The pools whose objects a queue may carry."""
        return self.context.pools_of[flow.sender] if flow.mixed else () if flow.pool is None else (flow.pool,)

    def _asked(self, recorded: dict[str, list[Recorded]]) -> list[tuple[int, int]]:
        """By pool: objects that were got, and the bytes that were asked for."""
        asked = [tape.asked for tapes in recorded.values() for tape in tapes]
        return [(sum(n for n, _ in pool), sum(size for _, size in pool)) for pool in zip(*asked, strict=True)]

    def _live_bytes(self, name: str, tape: Recorded, asked: Sequence[tuple[int, int]]) -> int:
        """Bytes that were asked for, of what an actor holds at most: the mean of what is got from the pools."""
        if tape.most_mixed:
            own = [asked[pool] for pool in self.context.pools_of[name]]
            return tape.most_mixed * sum(size for _, size in own) // max(1, sum(n for n, _ in own))
        return sum(held * size // n for held, (n, size) in zip(tape.most_held, asked, strict=True) if n)

    def _working_sets(self, recorded: dict[str, list[Recorded]]) -> list[int]:
        """The working set of each pool: the most objects out at once, per actor that gets from it.

        Raises WorkloadError for a pool that has fewer objects than its actors hold.
        """
        working_sets = []
        for index, (name, pool) in enumerate(self.workload.pools.items()):
            held = sum(tape.most_held[index] for tapes in recorded.values() for tape in tapes)
            if held > pool.objects:
                raise WorkloadError(
                    f"{self.context.path}: pool {name!r} has {pool.objects:,} objects and its actors hold up to "
                    f"{held:,} at once: give it more, or hold fewer"
                )
            queued = sum(flow.capacity for flow in self.flows if index in self._carried(flow))
            getters = sum(
                actor.count
                for actor in self.workload.actors.values()
                if any(isinstance(step, Get) and name in step.pools for step in walk(actor.steps))
            )
            working_sets.append(max(1, min(pool.objects, held + queued) // max(1, getters)))
        return working_sets
