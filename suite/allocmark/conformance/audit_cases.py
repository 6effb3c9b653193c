# SPDX-License-Identifier: BSD-3-Clause
"""The kit's audits: direct checks of a backend's table, where a workload would not find the fault."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from allocmark.backend import Backend
from allocmark.conformance.kit_case import KitCase, KitResult
from allocmark.measuring.process import CellFailedError, CellProcess
from allocmark.measuring.serving import job_of
from allocmark.plugins import Registered
from allocmark.system import machine

#: What each checks. Its source is ``engine/native/audit_NAME.cpp``.
AUDITS = {
    "counting": "as many objects as it says, all or nothing, arrays and codes as in the contract",
    "threads": "threads come, go, come again, and keep no more objects than they say",
    "regions": "the memory that it reports is its own, all of it, and no more than the kernel has mapped",
    "destroying": "pools that were destroyed leave nothing behind",
    "contention": "threads that get and put without a pause never see one another's objects, and never stall",
    "sizes": "memory of any size is its caller's, cleared and resized as asked, where a backend has that",
    "at_once": "everything comes back at once and can be got again, where a backend has that",
    "one_way": "memory does not grow when one thread gets and another puts",
}

TIMEOUT = 20.0  #: seconds an audit may take beyond those that it is given
DEFAULT_BUDGET = 2.0  #: seconds that are spent on rare faults, for each variant

_SHARE = {"contention": 0.75, "one_way": 0.25}  # of the budget
_LEAST_CALLS = {"contention": 1_500_000, "one_way": 200_000}  # on a slow machine too
_MOST_THREADS = 4
_MODULE = "allocmark.measuring.auditor"


def audit_cases(registered: Registered, budget: float) -> Iterator[KitCase]:
    """Those for one variant; rare faults are looked for ``budget`` seconds."""
    for name in AUDITS:
        backend = registered.backend
        work = partial(_run, registered, name, budget * _SHARE.get(name, 0.0))
        yield KitCase(backend.label, backend.version, name, work)


def _run(registered: Registered, name: str, seconds: float) -> KitResult:
    backend = registered.backend
    if missing := backend.unavailable:
        return KitResult("unavailable", f"{missing.reason}: {missing.fix}" if missing.fix else missing.reason)
    if lacking := _lacking(backend, name):
        return KitResult("unavailable", lacking)
    job = {**job_of(registered), "audit": _audit(backend, name, seconds)}
    process = None
    try:
        process = CellProcess(job, backend.environ, TIMEOUT + seconds, _MODULE)
        done = process.receive(name)
        return KitResult("passed", "", done["calls"], done["builds"])
    except CellFailedError as failure:
        return KitResult("failed", str(failure))
    finally:
        if process:
            process.stop()


def _lacking(backend: Backend, name: str) -> str:
    """Why the audit asks for more than the backend declares, or ""."""
    has = backend.capabilities
    if name not in _SHARE:
        return ""
    if not has.thread_safe or has.max_actors == 1:
        return "not for several threads"
    if name == "one_way" and not has.cross_thread_free:
        return "cannot free on another thread"
    return ""


def _audit(backend: Backend, name: str, seconds: float) -> dict[str, Any]:
    has = backend.capabilities
    most = min(max(len(machine.usable_cpus()), 2), _MOST_THREADS, has.max_actors or _MOST_THREADS)
    return {
        "check": name,
        "threads": most,
        "any_size": has.any_size,
        "thread_safe": has.thread_safe,
        "cross_thread": has.cross_thread_free,
        "least_ns": int(seconds * 1e9),
        "least_calls": _LEAST_CALLS.get(name, 0),
    }
