# SPDX-License-Identifier: BSD-3-Clause
"""What the CPUs are like beside the samples, and waiting for them to be as fast as they were.

What runs on the other hardware thread of a core takes up to half of its speed, for seconds at a time; on a virtual
machine, that is somebody else's. Copies and calls do not suffer alike, so ratios change as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from allocmark.engine import core_distance, core_pace
from allocmark.stats import DISTANCE_TOLERANCE, PACE_TOLERANCE, near

MOST_WAITING = 1 / 3  #: of the time that measuring took so far, waiting included


@dataclass(frozen=True)
class CpuState:
    """At one time, in ns. ``distance``: core to core, of the farthest pair of the CPUs in use; None for one CPU.
    ``paces``: of each CPU; none when actors are left free, or a CPU may not be used any more."""

    distance: float | None
    paces: tuple[float, ...]

    @property
    def pace(self) -> float | None:
        """Of the slowest."""
        return max(self.paces, default=None)

    def same(self, later: CpuState) -> bool:
        """Whether nothing moved."""
        return near(self.distance, later.distance, DISTANCE_TOLERANCE) and near(self.pace, later.pace, PACE_TOLERANCE)


@dataclass
class CpuWatch:
    """Looks at CPUs. Knows how fast they have been, and how much it has waited. ``pace`` and ``distance`` measure."""

    pace: Callable[[int], float] = core_pace
    distance: Callable[[int, int], float] = core_distance
    spent: float = 0.0  #: seconds that rounds took so far
    waited: float = 0.0
    _fastest: dict[int, float] = field(default_factory=dict)
    _slow_for_good: set[int] = field(default_factory=set)  #: as far as is known: not waited for

    def look(self, cpus: Sequence[int], *, paces: bool = True) -> CpuState:
        """What they are like now. Without ``paces`` only how far apart they are."""
        try:
            distance = max((self.distance(a, b) for a, b in combinations(cpus, 2)), default=None)
            return CpuState(distance, tuple(self._pace_of(cpu) for cpu in cpus) if paces else ())
        except OSError:  # the process of the cell says what is wrong
            return CpuState(None, ())

    def wait(
        self, cpus: Sequence[int], last: CpuState, stopping: Callable[[], bool], tell: Callable[[str], None]
    ) -> CpuState:
        """What they are like once each is as fast as it was; in the end, as they are.

        ``last``: as they were a moment ago, and are if that was fast. ``stopping``: ends at once.
        """
        slow = [cpu for cpu, pace in zip(cpus, last.paces, strict=False) if self._is_slow(cpu, pace)]
        if not slow or stopping():
            return last
        begun = time.monotonic()
        end = begun + MOST_WAITING * self.spent - self.waited
        if begun < end:
            tell("waiting for a CPU that is slower than it was")
        # Without a pause: a CPU that was idle takes some milliseconds to be at its speed.
        while slow and not stopping():
            if time.monotonic() >= end:
                self._slow_for_good.update(slow)
                break
            slow = self._slow_now(cpus)
        self.waited += time.monotonic() - begun
        return self.look(cpus)

    def choose(self, planned: int, others: Callable[[], Sequence[int]]) -> int:
        """``planned``, or while that is slower than it was, the first of ``others`` that is as fast as it was."""
        try:
            pace = self._pace_of(planned)
            usual = (1 + PACE_TOLERANCE) * self._fastest[planned]
            if pace <= usual:
                return planned
            return next((cpu for cpu in others() if self._pace_of(cpu) <= usual), planned)
        except OSError:
            return planned

    def _slow_now(self, cpus: Sequence[int]) -> list[int]:
        try:
            return [cpu for cpu in cpus if self._is_slow(cpu, self._pace_of(cpu))]
        except OSError:  # one may not be used any more
            return []

    def _is_slow(self, cpu: int, pace: float) -> bool:
        return cpu not in self._slow_for_good and pace > (1 + PACE_TOLERANCE) * self._fastest[cpu]

    def _pace_of(self, cpu: int) -> float:
        pace = self.pace(cpu)
        fastest = self._fastest[cpu] = min(pace, self._fastest.get(cpu, pace))
        if pace <= (1 + PACE_TOLERANCE) * fastest:
            self._slow_for_good.discard(cpu)
        return pace


watch = CpuWatch()  #: of this process, as what it knows is about the machine
