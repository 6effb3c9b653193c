# SPDX-License-Identifier: BSD-3-Clause
"""How much each form of ``allocmark validate`` measures."""

from __future__ import annotations

from dataclasses import dataclass

from allocmark.stats import LOOKS


@dataclass(frozen=True)
class Form:
    """Numbers of what is measured; of ``backends``, as of other things, at most so many.

    ``rounds``, ``blocks`` and ``sample_ms`` as in `allocmark.measuring.request.Request`: of every run.
    """

    name: str
    rounds: int
    blocks: int
    sample_ms: float
    backends: int
    repeated_cases: int
    repeats: int
    silent_cells: int  #: of each kind of sameness
    siblings: int  #: cells of one run that are compared with one other
    rebuilt: bool  #: also builds of one source whose functions lie elsewhere
    planted: tuple[float, ...]  #: slowdowns, as shares
    tries: int  #: at finding each
    bulks: tuple[int, ...]  #: that are compared with a loop by hand
    processes: int  #: of each such comparison
    dpdk_test: bool  #: compare with DPDK's own measurement as well, which takes minutes
    floor: tuple[str, ...]  #: workloads on which the floor is to be below all; none: the default ones
    all_cases: bool  #: of these, not only their short forms
    pairs: int  #: backends that are measured beside one another
    meetings: int  #: rounds of each of these


QUICK = Form(
    name="quick",
    rounds=16,
    blocks=4,
    sample_ms=2.0,
    backends=2,
    repeated_cases=2,
    repeats=3,
    silent_cells=4,
    siblings=4,
    rebuilt=False,
    planted=(0.05,),
    tries=10,
    bulks=(32,),
    processes=9,
    dpdk_test=False,
    floor=("burst",),
    all_cases=False,
    pairs=2,
    meetings=10,
)
DEFAULT = Form(
    name="default",
    rounds=27,
    blocks=8,
    sample_ms=3.0,
    backends=3,
    repeated_cases=6,
    repeats=5,
    silent_cells=16,
    siblings=4,
    rebuilt=True,
    planted=(0.01, 0.02, 0.05, 0.1),
    tries=10,
    bulks=(8, 32, 128),
    processes=18,
    dpdk_test=False,
    floor=(),
    all_cases=False,
    pairs=3,
    meetings=18,
)
FULL = Form(
    name="full",
    rounds=LOOKS[-1],
    blocks=8,
    sample_ms=3.0,
    backends=99,
    repeated_cases=6,
    repeats=20,
    silent_cells=400,
    siblings=4,
    rebuilt=True,
    planted=(0.01, 0.02, 0.05, 0.1),
    tries=100,
    bulks=(8, 32, 128),
    processes=40,
    dpdk_test=True,
    floor=(),
    all_cases=True,
    pairs=99,
    meetings=40,
)
