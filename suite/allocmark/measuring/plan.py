# SPDX-License-Identifier: BSD-3-Clause
"""From a request to cells: which backends, which workloads, and what cannot run here and why."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from allocmark.backend import Backend, Unavailable
from allocmark.errors import TraceError, UsageError, suggest
from allocmark.measuring.case_plan import CasePlan
from allocmark.measuring.given import given_library, is_given
from allocmark.measuring.replaying import replay_cases
from allocmark.measuring.request import Request
from allocmark.measuring.tapes import Tapes
from allocmark.plugins import Host, Registered
from allocmark.results.records import PlannedCase, PlannedCell
from allocmark.system import machine
from allocmark.system.availability import memory_unavailable
from allocmark.traces.trace_names import is_trace
from allocmark.workload.language.expand import Template
from allocmark.workload.language.find import SETS, all_workloads, find_workloads, set_of
from allocmark.workload.tape.program import Program

MEMORY_SHARE = 0.9  #: of the available memory, what the pools of one case may take together

_FEWER = "choose fewer actors with --set"


@dataclass(frozen=True)
class Plan:
    """Everything that will run. ``left_out`` says in words what was asked for and cannot run on this machine."""

    cases: tuple[CasePlan, ...]
    left_out: tuple[str, ...]


def make_plan(request: Request, host: Host, *, floor: bool = True) -> Plan:
    """The cases of ``request``. ``floor``: each has the floor's cell too, named or not, and it is the first.

    Raises UsageError or WorkloadError, one line, when something of the request makes no sense here; TooLargeError when
    it would on a larger machine.
    """
    registered = select_backends(host, request, floor=floor)
    if request.verify:
        registered = [r for r in registered if not r.backend.floor]
        if not registered:
            raise UsageError(
                "the floor cannot be verified, as it hands out objects that are in use: name another backend"
            )
    left_out: list[str] = []
    templates: list[Template] = []
    if traces := [name for name in dict.fromkeys(request.workloads) if is_trace(name)]:
        if len(traces) < len({*request.workloads}):
            raise UsageError(f"{traces[0]}: traces are replayed by themselves: leave the workloads out")
        replayed: list[CasePlan] = []
        for path in traces:
            try:
                replayed += replay_cases(path, request, registered, len(replayed))
            except TraceError as damaged:  # must not stop the others
                left_out.append(str(damaged))
        if not replayed:
            raise TraceError("; ".join(left_out))
        return Plan(tuple(replayed), tuple(left_out))
    if request.workloads:
        named = [each for name in request.workloads for each in find_workloads(name, host.workload_dirs)]
        templates = list({each.path: each for each in named}.values())
    else:
        for found in all_workloads(host.workload_dirs):
            if isinstance(found, Template):
                templates += [found] if _is_asked(found, request.group) else []
            else:
                left_out.append(str(found))
    cases: list[CasePlan] = []
    for template in templates:
        # One that is too large for this machine must not stop the others.
        try:
            planned, too_large = _cases(template, request, registered, len(cases))
        except _NoRoomError as error:
            planned, too_large = [], str(error)
        cases += planned
        if too_large:
            left_out.append(too_large)
    if not cases and request.workloads:
        raise TooLargeError("; ".join(left_out))
    if not cases:
        raise UsageError(f"nothing can run here: {'; '.join(left_out) or 'there are no workloads'}")
    return Plan(tuple(cases), tuple(left_out))


def _cases(
    template: Template, request: Request, registered: Sequence[Registered], first: int
) -> tuple[list[CasePlan], str]:
    """The cases of one file, numbered from ``first``, and in words which cells need more cores."""
    usable = machine.usable_cpus()
    cases = template.cases(request.overrides, short=request.short)
    planned: list[CasePlan] = []
    too_large: list[int] = []  # cores that a case needs, of each that needs too many
    for case in cases:
        actors = sum(actor.count for actor in case.workload.actors.values())
        wanted = min(case.workload.cpus or actors, actors)
        if request.pin and wanted > len(usable):
            too_large.append(wanted)
            continue
        tapes = Tapes.of(str(template.path), template.digest, case.parameters, request.seed, case.workload)
        program = tapes.program
        cells = tuple(replace(r, backend=_checked(r.backend, program)) for r in registered)
        _check_memory(template.name, program, sum(cell.backend.unavailable is None for cell in cells))
        record = PlannedCase(
            case=first + len(planned),
            workload=template.name,
            digest=template.digest,
            parameters=case.parameters,
            actors=actors,
            cells=tuple(PlannedCell(c.backend.name, c.backend.variant, c.backend.floor) for c in cells),
        )
        shared = [(cpu, machine.cpu_node(cpu)) for cpu in usable[:wanted]] if request.pin else [(-1, -1)]
        cpus = [shared[actor % len(shared)] for actor in range(actors)]
        planned.append(CasePlan(record, program, cells, tuple(cpus), tapes))
    if not too_large:
        return planned, ""
    needs = " to ".join(str(n) for n in dict.fromkeys((min(too_large), max(too_large))))
    which = f"{template.name}: {len(too_large)} of {len(cases)} cases need {needs} cores"
    return planned, f"{which}, and {len(usable)} may be used here: choose fewer with --set, or run with --no-pin"


def select_backends(host: Host, request: Request, *, floor: bool = True) -> list[Registered]:
    """The chosen variants; with ``floor`` the floor before them, named or not. UsageError for an unknown name, and for
    a library that cannot be loaded."""
    floors = [r for r in host.backends if r.backend.floor and floor]
    chosen: list[Registered] = []
    if request.group or not request.backends:
        among = [r for r in host.backends if not r.backend.floor and _is_in(r.backend, request.group)]
        for name in dict.fromkeys(r.backend.name for r in among):
            chosen += _defaults([r for r in among if r.backend.name == name])
    for spec in request.backends:
        if is_given(spec):
            found = [given_library(spec, request.prefix, chosen, among=request.backends)]
        else:
            found = _named(host, spec)
        chosen += [r for r in found if r not in chosen]
    return floors + [r for r in chosen if r not in floors]


def _is_asked(template: Template, group: str) -> bool:
    """Whether a workload is measured when none is named: it is in the set, or in the default comparison."""
    return set_of(template.path) == group if group in SETS else template.default


#: The backends that ``--for`` selects, by name. Who serves any size is a malloc.
GROUPS: Mapping[str, Callable[[Backend], bool]] = {
    "malloc": lambda backend: backend.capabilities.any_size,
    "pools": lambda backend: not backend.capabilities.any_size,
    "serving": lambda backend: True,
    "all": lambda backend: True,
}


def _is_in(backend: Backend, group: str) -> bool:
    return GROUPS[group](backend) if group else not backend.on_request


def _named(host: Host, spec: str) -> list[Registered]:
    name, _, variant = spec.partition(":")
    same = [r for r in host.backends if r.backend.name == name]
    if not same:
        raise UsageError(_unknown_backend(host, name))
    found = [r for r in same if fnmatch.fnmatchcase(r.backend.variant, variant)] if variant else _defaults(same)
    if not found:
        known = [r.backend.variant for r in same]
        raise UsageError(f"backend {name!r} has no variant {variant!r}; {suggest(variant, known)}")
    return found


def _defaults(variants: Sequence[Registered]) -> list[Registered]:
    return [r for r in variants if r.backend.default] or list(variants[:1])


def _unknown_backend(host: Host, name: str) -> str:
    for broken in host.broken:
        if name in (broken.plugin, broken.distribution.split(" ")[0]) or name in broken.plugin:
            return f"plugin {broken.plugin!r} ({broken.distribution}) is not used: it {broken.cause}"
    known = list(dict.fromkeys(r.backend.name for r in host.backends))
    return f"no backend is called {name!r}; {suggest(name, known)}"


def _checked(backend: Backend, program: Program) -> Backend:
    """The variant; ``unavailable`` says why when it cannot run this program."""
    return replace(backend, unavailable=backend.unavailable or _obstacle(backend, program))


def _obstacle(backend: Backend, program: Program) -> Unavailable | None:
    has = backend.capabilities
    for pool in program.pools:
        # The floor's objects are nobody's memory.
        if pool.node >= 0 and not backend.floor:
            if missing := memory_unavailable(pool.object_size * pool.objects, pool.node):
                return replace(missing, reason=f"pool {pool.name!r}: {missing.reason}")
            if not has.numa and len(machine.numa_nodes()) > 1:
                return Unavailable(
                    f"honours no NUMA node, and pool {pool.name!r} asks for node {pool.node}: leave out node"
                )
    for index, pool in enumerate(program.pools):
        users = sum(actor.ring_capacity[index] > 0 for actor in program.actors)
        if users > 1 and not has.thread_safe:
            return Unavailable(f"not thread-safe, and {users} actors use pool {pool.name!r}: {_FEWER}")
        if has.max_actors is not None and users > has.max_actors:
            return Unavailable(f"for at most {has.max_actors} actor per pool, and {users} use {pool.name!r}: {_FEWER}")
    if program.queues and not has.cross_thread_free:
        return Unavailable("cannot free on another thread, which this workload does: choose one without queues")
    return None


class TooLargeError(UsageError):
    """Nothing that was asked for by name can run here: too few cores, or too little memory."""


class _NoRoomError(UsageError):
    """The pools of a workload are larger than this machine's memory."""


def _check_memory(workload: str, program: Program, processes: int) -> None:
    available = machine.mem_available()
    for pool in program.pools:
        if pool.object_size * pool.objects > available:
            raise _NoRoomError(
                f"{workload}: pool {pool.name!r} of {pool.objects:,} objects of {pool.object_size:,} bytes is "
                f"{_gib(pool.object_size * pool.objects)}, and {_gib(available)} of memory are available: "
                f"make it smaller with --set pools.{pool.name}.objects=N"
            )
    together = program.pool_bytes * processes
    if together > MEMORY_SHARE * available:
        raise _NoRoomError(
            f"{workload}: the pools of {processes} backends are {_gib(together)} together, and {_gib(available)} of "
            "memory are available: name fewer backends with -b, or make the pools smaller with --set"
        )


def _gib(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB"
