# SPDX-License-Identifier: BSD-3-Clause
"""What the actors of a case share while they are played: the numbers of pools, queues and steps, and the queues."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from allocmark.errors import WorkloadError
from allocmark.workload.language.checks import held_by, walk
from allocmark.workload.language.schema import Workload
from allocmark.workload.language.steps import Get, Receive, Repeat, Send, Step


class MixedError(Exception):
    """A queue carries objects of several pools, and its actors have to be played again as such."""

    def __init__(self, queue: int) -> None:
        super().__init__(queue)
        self.queue = queue


@dataclass
class Flow:
    """What goes through one queue. ``pool``: where its objects come from, once that is known."""

    capacity: int
    mixed: bool = False  #: objects of several pools; each takes along which one it came from
    sender: str = ""
    receiver: str = ""
    pool: int | None = None
    bulks: set[int] = field(default_factory=set)  # sizes of the sends


class Context:
    """Of one case, and one choice of the queues that are mixed."""

    def __init__(self, workload: Workload, seed: int, path: str, mixed: Set[int] = frozenset()) -> None:
        self.workload = workload
        self.seed = seed
        self.path = path
        self.pool_index = {name: i for i, name in enumerate(workload.pools)}
        self.queue_index = {name: i for i, name in enumerate(workload.queues)}
        self.flows = [Flow(queue.capacity, number in mixed) for number, queue in enumerate(workload.queues.values())]
        self.steps: list[str] = []  # the name of each step in messages
        self.step_ids: dict[int, int] = {}  # place in `steps`, by id() of a step of the model
        self.pools_of = {  # by actor: the numbers of the pools whose objects it may hold
            name: sorted(self.pool_index[pool] for pool in pools) for name, pools in held_by(workload).items()
        }
        for name, actor in workload.actors.items():
            self._name_steps(actor.steps, f"{name} step ")
            for step in walk(actor.steps):
                if isinstance(step, Send):
                    self.flows[self.queue_index[step.queue]].sender = name
                elif isinstance(step, Receive):
                    self.flows[self.queue_index[step.queue]].receiver = name
        self.mixing = self._mixing()

    def error(self, line: int, text: str) -> WorkloadError:
        """The error, with file and line."""
        return WorkloadError(f"{self.path}:{line}: {text}")

    def sized(self, pools: Sequence[int]) -> str:
        """The first of these pools from which objects are got with sizes of their own, or ""."""
        steps = [step for actor in self.workload.actors.values() for step in walk(actor.steps)]
        exact = {name for step in steps if isinstance(step, Get) and step.exact for name in step.pools}
        return next((name for name, number in self.pool_index.items() if number in pools and name in exact), "")

    def _mixing(self) -> set[str]:
        """The actors that hold the objects of all pools together, in the order in which they came: those at mixed
        queues, and those that these exchange objects with."""
        names: set[str] = set()
        while True:
            before = len(names)
            for flow in self.flows:
                ends = {flow.sender, flow.receiver}
                flow.mixed = flow.mixed or bool(ends & names)
                if flow.mixed:
                    names |= ends
            if len(names) == before:
                return names

    def _name_steps(self, steps: Sequence[Step], prefix: str) -> None:
        for number, step in enumerate(steps, 1):
            self.step_ids[id(step)] = len(self.steps)
            self.steps.append(f"{prefix}{number} ({step.kind}), line {step.line}")
            if isinstance(step, Repeat):
                self._name_steps(step.steps, f"{prefix}{number}.")
