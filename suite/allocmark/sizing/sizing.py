# SPDX-License-Identifier: BSD-3-Clause
"""From what was asked for to what was counted: cases, a process for each backend, its caches from small to large."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from threading import Event

from allocmark.errors import AllocmarkError, UsageError
from allocmark.measuring.case_plan import CasePlan
from allocmark.measuring.plan import Plan, make_plan
from allocmark.measuring.process import CellProcess
from allocmark.measuring.request import Request
from allocmark.measuring.schedule import Progress
from allocmark.measuring.serving import job_of
from allocmark.plugins import Host, Registered
from allocmark.results.records import typed
from allocmark.sizing.sized import Sized, SizedBackend, SizedCase
from allocmark.system import machine
from allocmark.workload.language.find import find_workload
from allocmark.workload.tape.program import Program

CACHES = (32, 64, 128, 256, 512)  #: objects; the last is DPDK's maximum

LARGEST = 1 << 17  #: objects of a pool that is counted, at most: to go through a larger one takes long
SPARE_BYTES = 1 << 25  #: of a pool, at most, that are there so that caches have room

_MODULE = "allocmark.sizing.size_worker"


def plan_sizes(request: Request, host: Host) -> Plan:
    """The cases of the only workload of ``request``, those that differ in more than their caches.

    Raises UsageError and WorkloadError as `make_plan` does.
    """
    (name,) = request.workloads
    only_caches = find_workload(name, host.workload_dirs).only_for("cache")
    if given := only_caches & request.overrides.keys():
        raise UsageError(f"--set {min(given)}: several sizes of caches are counted; choose them with --cache")
    plan = make_plan(request, host, floor=False)
    if any(cell.backend.floor for cell in plan.cases[0].cells):
        raise UsageError("the floor has no pool and no cache that could be too small: name another backend")
    cases: dict[str, CasePlan] = {}
    for case in plan.cases:
        parameters = {key: value for key, value in case.record.parameters.items() if key not in only_caches}
        record = replace(case.record, parameters=parameters)
        cases.setdefault(record.title, replace(case, record=record))
    return replace(plan, cases=tuple(cases.values()))


def count_sizes(
    cases: Sequence[CasePlan], caches: Sequence[int], timeout: float, progress: Callable[[Progress], None]
) -> Iterator[SizedCase]:
    """Case by case, each backend with each size of its caches; no ``caches``: `CACHES` and those of the file.

    What a backend cannot do, or does wrong, is said of it. ``timeout``: seconds that one size may take.
    """
    for number, case in enumerate(cases):
        wanted = sorted(set(caches or (*CACHES, *(pool.cache for pool in case.program.pools))))
        progress(Progress(number / len(cases), case.record.title, "counting"))
        yield SizedCase(case.record.title, _counted(case, wanted, timeout))


def _counted(case: CasePlan, caches: Sequence[int], timeout: float) -> list[SizedBackend]:
    """Each backend in its turn of the CPUs, as many at once as there are for their actors, which wait for each other:
    nothing is timed."""
    case = replace(case, program=_roomy(case.program, max(caches)))
    stopping = Event()
    with ThreadPoolExecutor(max(1, len(machine.usable_cpus()) // len(case.cpus))) as threads:
        try:
            asked = [
                threads.submit(_backend, cell, place, case, caches, timeout, stopping)
                for place, cell in enumerate(case.cells)
            ]
            return [each.result() for each in asked]
        finally:
            stopping.set()  # when interrupted


def _roomy(program: Program, cache: int) -> Program:
    """The program with pools that are certainly large enough, which the file's may not be, and not much too large. Of
    large objects there are fewer to spare: caches that are larger yet are refused, or never full."""
    queued = sum(queue.capacity for queue in program.queues)
    held = map(sum, zip(*(actor.ring_capacity for actor in program.actors), strict=True))
    spare = 4 * cache * len(program.actors)
    enough = [
        n + queued + min(spare, SPARE_BYTES // pool.object_size) for n, pool in zip(held, program.pools, strict=True)
    ]
    pools = [
        replace(pool, objects=max(min(pool.objects, LARGEST), n)) for pool, n in zip(program.pools, enough, strict=True)
    ]
    return replace(program, pools=tuple(pools))


def _backend(
    cell: Registered, place: int, case: CasePlan, caches: Sequence[int], timeout: float, stopping: Event
) -> SizedBackend:
    backend = cell.backend
    if backend.unavailable:
        return SizedBackend(backend.label, status="unavailable", reason=backend.unavailable.reason)
    job = {
        **job_of(cell),
        "program": case.program.to_json(),
        "cpus": _cpus(len(case.program.actors), place),
    }
    # An allocator of any size has no cache that a workload could ask for.
    wanted = caches[:1] if backend.capabilities.any_size else caches
    sizes: list[Sized] = []
    try:
        process = CellProcess(job, backend.environ, timeout, _MODULE)
        with ExitStack() as stack:
            stack.callback(process.stop)
            process.ready()
            for cache in wanted:
                if not stopping.is_set():
                    sizes.append(typed(Sized, {"cache": cache, **process.request("count", cache=cache)}))
            process.request("finish")
    except AllocmarkError as failure:
        return SizedBackend(backend.label, sizes, "failed", str(failure))
    return SizedBackend(backend.label, sizes)


def _cpus(actors: int, place: int) -> list[tuple[int, int]]:
    """The CPU and node of each actor, others for each backend: those counted at once share none where there are enough.
    Actors that take turns may share one."""
    usable = machine.usable_cpus()
    chosen = [usable[(actor + place) % len(usable)] for actor in range(actors)]
    return [(cpu, machine.cpu_node(cpu)) for cpu in chosen]
