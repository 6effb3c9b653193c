# SPDX-License-Identifier: BSD-3-Clause
"""Probes measure what is not time, such as memory. They look at the process of a cell, between its samples.

Each bundled probe has a file of its own beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from allocmark.backend import text_problem


@dataclass(frozen=True)
class PoolMemory:
    """Where one pool's objects lie.

    ``regions`` are (address, length in bytes); empty when the backend does not know them, and not ``complete`` when it
    has too many to look at. ``objects`` are the addresses of some live objects, taken while the workload held them.
    """

    name: str
    object_size: int
    objects_asked: int
    regions: Sequence[tuple[int, int]]
    objects: Sequence[int]
    complete: bool = True


@dataclass(frozen=True)
class ProbeContext:
    """What a probe may look at. ``phase`` is "populated" or "after"."""

    phase: str
    pid: int
    pools: Sequence[PoolMemory]


@dataclass(frozen=True)
class Probe:
    """A named measure. ``measure`` returns values for JSON; where it cannot measure it returns the reason, never 0.

    ``unavailable`` is the reason why the probe cannot work on this machine at all, or "".
    """

    name: str
    description: str
    unit: str
    measure: Callable[[ProbeContext], Mapping[str, Any]]
    unavailable: str = ""

    def problems(self) -> list[str]:
        """What is wrong with this description, one phrase each; an empty list when it can be used."""
        texts = ("name", "description", "unit", "unavailable")
        found = [problem for what in texts if (problem := text_problem(what, getattr(self, what)))]
        if not found and not self.name:
            found.append("its name is empty")
        if not callable(self.measure):
            found.append(f"measure is {type(self.measure).__name__}, not a function")
        return found
