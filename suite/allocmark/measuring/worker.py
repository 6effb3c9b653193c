# SPDX-License-Identifier: BSD-3-Clause
"""The process of one cell, as `allocmark.measuring.serving` has it.

The job says which cell it is. A request names a measurement pass and the units to run; or it is ``move``, with the seed
of another layout; or ``finish``: probe again, drain, clean up.

Nothing is measured while this starts, so it imports only what a cell needs.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from importlib import import_module
from typing import Any, TextIO

from allocmark.backend import Backend
from allocmark.engine.session import MOST_REGIONS, Engine
from allocmark.errors import AllocmarkError
from allocmark.measuring.attest import attest, attest_library, builds, called_by, library_facts
from allocmark.measuring.serving import backend_of, reply, serve
from allocmark.passes.base import Reply, Sampler
from allocmark.passes.throughput import warm_again
from allocmark.probes import PoolMemory, Probe, ProbeContext
from allocmark.probes.resident import of_process
from allocmark.workload.tape.program import Program


def _serve(job: Mapping[str, Any], requests: TextIO, replies: TextIO) -> bool:
    """Answers requests; whether the last one was to finish."""
    begun = time.monotonic()
    program = Program.from_json(job["program"])
    backend, host = backend_of(job)
    probes = [probe for probe, _ in host.probes if not probe.unavailable]
    assert backend.table is not None  # only available variants are planned
    asked = [getattr(import_module(module), name)() for module, name in job["passes"]]
    begun_with = of_process(os.getpid())
    engine = Engine(backend.table, backend.options, program, job["cpus"], **job["engine"])
    try:
        engine.settle()
        phases = {"populated": _look("populated", engine, program, probes)}
        called = called_by(backend)
        if wrong := attest_library(backend, called) or attest(backend, phases):
            raise AllocmarkError(wrong)
        # Now, as files may be replaced while this process lives.
        built = {"library": library_facts(backend, called), "builds": builds(backend, called)}
        passes = {each.name: each.start(engine, program, job["cpus"]) for each in asked}
        reply(replies, setup_seconds=time.monotonic() - begun, layout=engine.layout())
        moved = False
        for line in requests:
            request = json.loads(line)
            if request["do"] == "move":
                engine.move(request["layout_seed"])
                reply(replies)
                moved = True
                continue
            if request["do"] == "finish":
                passes.clear()  # what they hold in memory is not the backend's
                _finish(engine, program, backend, probes, phases, begun_with, built, replies)
                return True
            reply(replies, **_sample(passes[request["do"]], request["units"], moved))
            moved = False
        engine.abandon()  # the parent went away: give back what would outlive this process
        return False
    except BaseException:
        engine.abandon()
        raise


def _sample(take: Sampler, units: int, moved: bool) -> Reply:
    if moved:
        warm_again(take, units)
    return take(units)


def _finish(
    engine: Engine,
    program: Program,
    backend: Backend,
    probes: list[Probe],
    phases: dict[str, dict[str, Any]],
    begun_with: dict[str, Any],
    built: dict[str, Any],
    replies: TextIO,
) -> None:
    facts = engine.facts() | _read_back(backend)
    if program.puts_all:
        facts["put_all"] = "one call" if engine.puts_at_once else "put_bulk"
    pool_facts = {pool.name: engine.facts(i) for i, pool in enumerate(program.pools)}
    regions = {pool.name: engine.region_count(i) for i, pool in enumerate(program.pools)}
    phases["after"] = _look("after", engine, program, probes)
    wrong = attest_library(backend, called_by(backend)) or attest(backend, phases)
    engine.drain()
    left_with = of_process(os.getpid())
    stranded = engine.check_complete(backend.capabilities.any_size)
    engine.close()
    if wrong:
        raise AllocmarkError(wrong)
    whole = {phase: {"memory": {"process": found}} for phase, found in (("start", begun_with), ("drained", left_with))}
    told = {"facts": facts, "pools": pool_facts, "regions": regions}
    reply(replies, version=backend.version, **told, **built, stranded=stranded, probes=whole | phases)


def _look(phase: str, engine: Engine, program: Program, probes: list[Probe]) -> dict[str, Any]:
    """What every probe says now."""
    pools = [
        PoolMemory(
            name=pool.name,
            object_size=pool.object_size,
            objects_asked=pool.objects,
            regions=engine.regions(i),
            complete=engine.region_count(i) <= MOST_REGIONS,
            objects=engine.objects(i),
        )
        for i, pool in enumerate(program.pools)
    ]
    context = ProbeContext(phase=phase, pid=os.getpid(), pools=pools)
    return {probe.name: _measure(probe, context) for probe in probes}


def _measure(probe: Probe, context: ProbeContext) -> Mapping[str, Any]:
    """A probe that fails loses its own figure and nothing else."""
    try:
        result = probe.measure(context)
        json.dumps(result, allow_nan=False)  # what cannot be kept is refused here, where one figure is lost
        return dict(result)
    except Exception as error:
        return {"unknown": f"the probe failed: {type(error).__name__}: {error}"}


def _read_back(backend: Backend) -> dict[str, str]:
    """The settings of the library. A plugin that cannot tell them loses them and nothing else."""
    try:
        return {str(key): str(value) for key, value in backend.facts().items()} if backend.facts else {}
    except Exception as error:
        return {"unknown": f"facts failed: {type(error).__name__}: {error}"}


if __name__ == "__main__":
    sys.exit(serve(_serve))
