# SPDX-License-Identifier: BSD-3-Clause
"""Is the figure that of the backend? The engine is compared with a loop as a person would write it.

What the engine itself costs is taken off, as it is on the floor: there both call a backend that does nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from allocmark.errors import AllocmarkError
from allocmark.measuring.plan import make_plan
from allocmark.measuring.schedule import CaseRun
from allocmark.stats import Estimate, median
from allocmark.system import machine
from allocmark.validate import dpdk_test
from allocmark.validate.by_hand import KEEP, ByHand
from allocmark.validate.proof import Figure, Finding, Holds, beyond, ratio_of, within
from allocmark.validate.workbench import SHORT, Workbench

LIMIT = 0.05  #: by which the two may differ
DPDK_LIMIT = 0.1  #: by which DPDK's own measurement may
DPDK_BACKEND = "dpdk_ring"  #: the backend that it is of, where it is installed
_CACHE, _BULK = 512, 32  #: of that measurement

Pairs = Sequence[tuple[float, float]]  #: of each process, ns per object by the engine and by hand


def fidelity(bench: Workbench) -> Finding:
    """Pools at bulks that a loop by hand is compared at, and DPDK's own measurement where that is installed."""
    form = bench.form
    backends = [r.backend.label for r in bench.backends(form.backends) if not r.backend.capabilities.any_size]
    if not backends:
        nothing = Figure("pools", None, "none runs here", f"{100 * LIMIT:.0f} %", Holds.CANNOT_TELL)
        return Finding([nothing], {"backends": backends})
    request = bench.request(["burst"], SHORT | {"bulk": [str(bulk) for bulk in form.bulks]}, backends)
    plans = make_plan(request, bench.host).cases
    pairs: dict[tuple[int, str], list[tuple[float, float]]] = {}
    notes: dict[str, None] = {}
    share = 0.5 if form.dpdk_test else 1.0
    for number in range(form.processes):
        for index, plan in enumerate(plans):
            bench.tell(share * (number + index / len(plans)) / form.processes, plan.record.title)
            done = CaseRun(plan, request, number, passes=[ByHand()]).run(lambda _: None)
            for cell in done.cells if done else ():
                bulk = int(plan.record.parameters["bulk"])
                if cell.status == "ok":
                    by_hand = median(cell.attestation["by_hand"])
                    pairs.setdefault((bulk, cell.label), []).append((median(cell.samples), by_hand))
                else:
                    notes[f"{cell.label} at bulk {bulk}: {cell.reason}"] = None
    floor = next(cell.backend.label for cell in plans[0].cells if cell.backend.floor)
    figures = judged(pairs, floor)
    if form.dpdk_test:
        said, more = _by_dpdk(bench, pairs, floor)
        figures += said
        notes |= dict.fromkeys(more)
    measured = {
        "backends": backends,
        "bulk": list(form.bulks),
        "processes": form.processes,
        "pairs": [{"bulk": bulk, "backend": label, "ns": found} for (bulk, label), found in pairs.items()],
        **bench.numbers(),
    }
    return Finding(figures, measured, [*notes])


def _by_dpdk(bench: Workbench, pairs: Mapping[tuple[int, str], Pairs], floor: str) -> tuple[list[Figure], list[str]]:
    """The same cost as DPDK's test program measures it, and why it could not be had."""
    found = [each for (bulk, label), each in pairs.items() if bulk == _BULK and label.startswith(f"{DPDK_BACKEND}:")]
    why = dpdk_test.missing() or (None if found else f"no {DPDK_BACKEND} was measured here at bulk {_BULK}")
    if why:
        return [], [f"not compared with DPDK's own measurement: {why}"]
    cpu = machine.usable_cpus()[0]
    try:
        ns = dpdk_test.dpdk_ns(cpu, _CACHE, _BULK, KEEP, lambda done: bench.tell(0.5 + done / 2, dpdk_test.PROGRAM))
    except AllocmarkError as error:
        return [], [f"not compared with DPDK's own measurement: {error}"]
    return [judged_by_dpdk(ns, found[0], pairs.get((_BULK, floor), []))], []


def _own(bottom: Pairs) -> float:
    """What the engine costs itself: its figure beyond that of a loop by hand, on the floor."""
    return median(engine - by_hand for engine, by_hand in bottom) if bottom else 0.0


def judged_by_dpdk(ns: float, pairs: Pairs, bottom: Pairs) -> Figure:
    """DPDK's program says that an object costs ``ns``, the engine what ``pairs`` say; ``bottom`` is of the floor."""
    own = _own(bottom)
    logs = [math.log((engine - own) / ns) for engine, _ in pairs if engine > own]
    ratio = ratio_of(logs, 1) if len(logs) == len(pairs) else None
    what = f"{DPDK_BACKEND} by {dpdk_test.PROGRAM}"
    return Figure(
        what, ratio.value if ratio else None, beyond(ratio), f"{100 * DPDK_LIMIT:.0f} %", within(ratio, DPDK_LIMIT)
    )


def judged(pairs: Mapping[tuple[int, str], Pairs], floor: str) -> list[Figure]:
    """The figures, of the ``pairs`` of every bulk and backend; ``floor`` is the backend that does nothing."""
    figures = []
    compared = max(1, sum(label != floor for _, label in pairs))
    for (bulk, label), found in pairs.items():
        bottom = pairs.get((bulk, floor))
        if label == floor or not bottom:
            continue
        own = _own(bottom)
        logs = [math.log((engine - own) / by_hand) for engine, by_hand in found if engine > own]
        ratio = ratio_of(logs, compared) if len(logs) == len(found) else None
        figures.append(_figure(f"{label.partition(':')[0]} bulk {bulk}", ratio, LIMIT))
    return figures


def _figure(what: str, ratio: Estimate | None, limit: float) -> Figure:
    return Figure(what, ratio.value if ratio else None, beyond(ratio), f"{100 * limit:.0f} %", within(ratio, limit))
