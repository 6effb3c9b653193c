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

LOOK_SECONDS = 0.02  #: between two looks while waiting
MOST_WAITING = 1 / 3  #: of the time that measuring took so far, waiting included


@dataclass(frozen=True)
class CpuState:
    """At one time, in ns. ``distance``: core to core, of the farthest pair of the CPUs in use; None for one CPU.
    ``pace``: of the slowest; None when actors are left free."""

    distance: float | None
    pace: float | None

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

    def look(self, cpus: Sequence[int]) -> CpuState:
        """What they are like now."""
        if not cpus:
            return CpuState(None, None)
        distance = max((self.distance(a, b) for a, b in combinations(cpus, 2)), default=None)
        return CpuState(distance, max(self._paces(cpus).values()))

    def wait(self, cpus: Sequence[int], stopping: Callable[[], bool], tell: Callable[[str], None]) -> CpuState:
        """What they are like once each is as fast as it was; in the end, as they are. ``stopping``: ends at once."""
        begun = time.monotonic()
        while self._is_slow(cpus) and not stopping():
            if self.waited + time.monotonic() - begun > MOST_WAITING * self.spent:
                self._fastest.clear()  # it may have slowed down for good: do not wait again until it was faster
                break
            tell("waiting for a CPU that is slower than it was")
            time.sleep(LOOK_SECONDS)
        self.waited += time.monotonic() - begun
        return self.look(cpus)

    def choose(self, planned: int, others: Callable[[], Sequence[int]]) -> int:
        """``planned``, or while that is slower than it was, the first of ``others`` that is as fast as it was."""
        pace = self._paces([planned])[planned]
        usual = (1 + PACE_TOLERANCE) * self._fastest[planned]
        if pace <= usual:
            return planned
        return next((cpu for cpu in others() if self._paces([cpu])[cpu] <= usual), planned)

    def _is_slow(self, cpus: Sequence[int]) -> bool:
        return any(pace > (1 + PACE_TOLERANCE) * self._fastest[cpu] for cpu, pace in self._paces(cpus).items())

    def _paces(self, cpus: Sequence[int]) -> dict[int, float]:
        paces = {cpu: self.pace(cpu) for cpu in cpus}
        for cpu, pace in paces.items():
            self._fastest[cpu] = min(pace, self._fastest.get(cpu, pace))
        return paces


watch = CpuWatch()  #: of this process, as what it knows is about the machine
