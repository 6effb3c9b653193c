# SPDX-License-Identifier: BSD-3-Clause
"""Nanoseconds an object, by the engine's clock: asv takes the samples, and Python is in none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import allocmark

_FILES = Path(__file__).parents[2] / "workloads"

# Written out and not asked of what is installed: asv hands parameters over by their index, so a list that depends on
# the installation gives one backend's figures the name of another. Variants too, as a default may change.
BACKENDS = ["null:default", "turbomem:thp", "dpdk_ring:ring_mp_mc-hugetlb", "glibc:default"]


class _EngineClock:
    """The timer that asv reads before and after a sample: it moves by what the engine measured, in seconds."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class _Workload:
    """The short form of the workload ``name``. asv knows it as ``NAME.time_object``."""

    name: str
    params: list[list[Any]]
    param_names: list[str]
    version: str  #: asv compares figures of one version only

    timer = _EngineClock()
    # One sample a process: those of one process share a memory layout and are not independent. Rounds lie apart
    # in time, too.
    number, repeat, rounds, warmup_time = 1, 1, 10, 0
    timeout = 120

    def __init_subclass__(cls) -> None:
        cls._path = str(_FILES / f"{cls.name}.yaml")
        template = allocmark.find_workload(cls._path)
        cls._short = [cell.parameters for cell in template.cells(short=True)]
        cls.param_names = ["backend", *template.sweep]
        cls.params = [BACKENDS] + [list(dict.fromkeys(each[key] for each in cls._short)) for key in template.sweep]
        cls.version = f"{allocmark.MEASURING_VERSION}-{template.digest}"

        def time_object(self: _Workload, *_: Any) -> None:
            self.timer.seconds += self._ns * 1e-9

        # The name under which the history is kept: without it, it would be that of this file and class.
        time_object.benchmark_name = f"{cls.name}.time_object"  # type: ignore[attr-defined]
        cls.time_object = time_object

    def setup(self, backend: str, *values: Any) -> None:
        """Measures; here, because only here asv takes NotImplementedError for a cell that stays empty."""
        parameters = dict(zip(self.param_names[1:], values, strict=True))
        if parameters not in self._short:  # asv makes every combination, the short form has some of them
            raise NotImplementedError
        try:
            (self._ns,) = allocmark.measure(self._path, parameters, backend)
        except allocmark.UnavailableError as error:
            raise NotImplementedError(str(error)) from error


class Burst(_Workload):
    name = "burst"


class MixedSizes(_Workload):
    name = "mixed_sizes"


class CrossCoreFree(_Workload):
    name = "cross_core_free"
