# SPDX-License-Identifier: BSD-3-Clause
"""A compiled case: flat, self-contained, and small enough to be handed to the process of a cell as JSON."""

from __future__ import annotations

from binascii import a2b_base64
from dataclasses import dataclass
from typing import Any

from allocmark.workload.tape.instructions import GETS, LAYOUT, REPEATABLE, Insn, Op


@dataclass(frozen=True)
class ProgramPool:
    """A pool as the engine creates it. ``working_set``: see ``allocmark_pool_spec``."""

    name: str
    object_size: int
    objects: int
    alignment: int
    cache: int
    node: int
    working_set: int


@dataclass(frozen=True)
class ProgramQueue:
    """A queue between actors; ``senders`` and ``receivers`` count actors, not kinds of actors."""

    name: str
    capacity: int
    senders: int
    receivers: int


@dataclass(frozen=True)
class ProgramActor:
    """One actor: its tapes and how often they run. See ``am_actor``.

    ``iterations`` counts the iterations of its body in one unit, ``settle_iterations`` the untimed ones after the
    prologue.
    ``ring_capacity`` is the most objects of each pool that it holds at once, ``mixed_capacity`` of all together where
    it holds them so, ``live_bytes`` what these have that was asked for. ``indices`` are 32-bit numbers, ``objects``
    what one iteration gets. ``ends``: each iteration is a thread's life.
    """

    name: str
    prologue: bytes
    body: bytes
    indices: bytes
    ring_capacity: tuple[int, ...]
    mixed_capacity: int
    live_bytes: int
    iterations: int
    settle_iterations: int
    objects: int
    coupled: bool
    ends: bool

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> ProgramActor:
        """That of a program."""
        coded = {name: a2b_base64(document[name]) for name in ("prologue", "body", "indices")}
        return cls(**{**document, **coded, "ring_capacity": tuple(document["ring_capacity"])})


@dataclass(frozen=True)
class Program:
    """What the engine runs for one case. ``steps`` names each step of the workload file, for messages."""

    workload: str
    pools: tuple[ProgramPool, ...]
    queues: tuple[ProgramQueue, ...]
    actors: tuple[ProgramActor, ...]
    steps: tuple[str, ...]

    @property
    def pool_bytes(self) -> int:
        """Object bytes of all pools."""
        return sum(pool.object_size * pool.objects for pool in self.pools)

    @property
    def live_bytes(self) -> int:
        """Bytes, as many as were asked for, of the objects that all actors hold at most."""
        return sum(actor.live_bytes for actor in self.actors)

    @property
    def touched(self) -> list[int]:
        """Bytes at the head of each pool's objects that the workload reads or writes."""
        most = [0] * len(self.pools)
        for actor in self.actors:
            for insn in (Insn(Op(op), *rest) for op, *rest in LAYOUT.iter_unpack(actor.body)):
                sizes = {Op.GET_READ: insn.aux, Op.GET_WRITE: insn.aux, Op.READ: insn.arg, Op.WRITE: insn.arg}
                if insn.op in sizes:
                    most[insn.target] = max(most[insn.target], sizes[insn.op])
                elif insn.op in (Op.MIXED_READ, Op.MIXED_WRITE, Op.TOUCH_AT):
                    mixed = insn.op is not Op.TOUCH_AT or insn.target == len(self.pools)
                    for number in range(len(self.pools)) if mixed else (insn.target,):
                        if actor.ring_capacity[number]:
                            most[number] = max(most[number], min(insn.arg, self.pools[number].object_size))
        return most

    @property
    def puts_all(self) -> bool:
        """Whether a pool is put all at once."""
        return any(op == Op.PUT_ALL for actor in self.actors for op, *_ in LAYOUT.iter_unpack(actor.body))

    @property
    def bulk(self) -> float:
        """Objects per get: the mean of all gets in a unit. 0 when there are none."""
        objects = gets = 0
        for actor in self.actors:
            times = [actor.iterations]
            for insn in (Insn(Op(op), *rest) for op, *rest in LAYOUT.iter_unpack(actor.body)):
                if insn.op is Op.LOOP:
                    times.append(times[-1] * insn.arg)
                elif insn.op is Op.END:
                    times.pop()
                elif insn.op in GETS:
                    calls = times[-1] * (insn.arg if insn.op in REPEATABLE else 1)
                    gets += calls
                    objects += calls * insn.n
        return objects / gets if gets else 0.0

    def to_json(self) -> dict[str, Any]:
        """JSON-able; read back by `from_json`."""
        import msgspec  # here, as it takes its time and the process of a cell only reads

        return msgspec.to_builtins(self)  # type: ignore[no-any-return]

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Program:
        """The inverse of `to_json`."""
        return cls(
            workload=document["workload"],
            pools=tuple(ProgramPool(**each) for each in document["pools"]),
            queues=tuple(ProgramQueue(**each) for each in document["queues"]),
            actors=tuple(ProgramActor.from_json(each) for each in document["actors"]),
            steps=tuple(document["steps"]),
        )
