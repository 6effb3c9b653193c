# SPDX-License-Identifier: BSD-3-Clause
"""What `against_dpdk.py` measures: its parts, each a run in rounds of fresh processes.

Starting DPDK takes most of a round. So samples are few and short, and a part has only the handlers that are likely to
be the best there, rings and the stack. ``--all-handlers`` measures the others too, in the parts of `GRID`.

Verdicts on 168 cells, with an error of 1 % for all together, take 18 rounds; a budget only ends what takes far longer
than it should.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from allocmark.backend import Backend, Pages
from allocmark.errors import UsageError
from allocmark.measuring.plan import select_backends
from allocmark.measuring.request import Request
from allocmark.plugins import Host

OURS = "turbomem:thp"
RIVAL = "dpdk_ring:ring_mp_mc-hugetlb"  #: DPDK's default handler; other releases have names that begin so
BIG_POOL, OVERSUBSCRIBED = "big_pool", "oversubscribed"
GRID = ("burst", "mixed_sizes", "cross_core_free")  #: the parts that are judged together: 168 cells on two cores

MINUTE = 60.0
ONE_CORE_EACH = {"rx": ["1"], "tx": ["1"]}
QUICK_ROUNDS = 16


@dataclass(frozen=True)
class Part:
    """A workload and its ``handlers``; ``quick`` chooses a few of its cells."""

    request: Request
    handlers: Sequence[str]
    quick: Mapping[str, Sequence[str]]


# Own work and placement take as many rounds as a verdict on the whole.
CELLS = Request(rounds=18, blocks=4, sample_ms=2.0, passes=["placement"], pass_rounds=27)
PARTS = {
    "burst": Part(
        replace(CELLS, workloads=["burst"], overrides={"off_ns": ["0"]}, budget=40 * MINUTE),
        ("ring_mp_mc", "ring_sp_sc", "stack"),
        {"off_ns": ["0"], "touch": ["0"], "cores": ["1"], "cache": ["256"], "bulk": ["32"]},
    ),
    "mixed_sizes": Part(
        replace(CELLS, workloads=["mixed_sizes"], budget=35 * MINUTE),
        ("ring_sp_sc", "stack"),
        {"mix": ["imix"], "touch": ["0"], "bulk": ["32"], "cache": ["512"]},
    ),
    # More: rounds in which the distance between the cores changed are set aside.
    "cross_core_free": Part(
        replace(CELLS, workloads=["cross_core_free"], overrides=ONE_CORE_EACH, rounds=27, blocks=6, budget=25 * MINUTE),
        ("ring_mp_mc", "stack"),
        ONE_CORE_EACH | {"burst": ["32"], "touch": ["0"], "cache": ["256"]},
    ),
    # Long samples: objects come back after many bursts.
    BIG_POOL: Part(
        Request(
            workloads=[BIG_POOL],
            rounds=14,
            blocks=2,
            sample_ms=25.0,
            passes=["reuse"],
            timeout=120.0,
            budget=6 * MINUTE,
        ),
        ("ring_mp_mc", "stack", "lf_stack"),
        {"pools.mbuf.objects": ["131072"], "live": ["8192"], "lifetime": ["random"]},
    ),
    # And here: a core changes hands every few milliseconds.
    OVERSUBSCRIBED: Part(
        Request(
            workloads=[OVERSUBSCRIBED], rounds=14, blocks=1, sample_ms=100.0, passes=["latency"], budget=8 * MINUTE
        ),
        ("ring_mp_mc", "ring_mt_rts", "lf_stack"),
        {"keep": ["2048"]},
    ),
}


def request(
    part: str, host: Host, *, quick: bool, all_handlers: bool, budget: float | None, release: str = ""
) -> Request:
    """What a part measures; ``budget`` in seconds replaces its own. UsageError where it cannot be measured."""
    wanted = PARTS[part]
    found = wanted.request
    if quick:
        found = replace(found, overrides=wanted.quick, rounds=QUICK_ROUNDS)
    every = all_handlers and part in GRID
    rivals = [b for b in handlers(host, release) if every or b.options["handler"] in wanted.handlers]
    return replace(found, backends=[OURS, *(b.label for b in rivals)], budget=budget or found.budget)


def handlers(host: Host, release: str = "") -> list[Backend]:
    """The own handlers of a release of DPDK on 2 MB pages; TurboMem's driver for DPDK is not one of them. Without
    ``release``: of the DPDK that the backend was built with.

    UsageError, with the remedy, where none of them can run, or TurboMem cannot.
    """
    (ours,) = (each.backend for each in select_backends(host, Request(backends=[OURS]), floor=False))
    if ours.unavailable:
        raise UsageError(f"{OURS} cannot run here: {ours.unavailable.reason}: {ours.unavailable.fix}")
    dpdk = [each.backend for each in select_backends(host, Request(backends=["dpdk_ring:*"]), floor=False)]
    found = [each for each in dpdk if (each.version == release if release else each.variant.endswith(f"-{each.pages}"))]
    if not found:
        there = ", ".join(dict.fromkeys(each.version for each in dpdk if each.version)) or "none"
        raise UsageError(f"no DPDK {release} is here, but {there}: set ALLOCMARK_DPDK to the folder it is installed in")
    found = [
        each
        for each in found
        if each.pages is Pages.HUGETLB and each.options["handler"] != "turbomem" and "objects" not in each.options
    ]
    missing = [backend.unavailable for backend in found if backend.unavailable]
    if len(missing) == len(found):
        raise UsageError(f"no handler of DPDK can run here: {missing[0].reason}: {missing[0].fix}")
    return found
