# SPDX-License-Identifier: BSD-3-Clause
"""Is what a variant declares true? The kernel's figures against the declaration; a reason when it is not."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from allocmark.backend import Backend, Pages
from allocmark.engine import Call, calls, loaded_file, table_file
from allocmark.engine.session import MOST_REGIONS
from allocmark.system.elf import build_id, build_of

# Of the memory that could be on transparent huge pages, the share that must be. The kernel promises none: one
# fault that found no free block leaves 2 MB on base pages. Five in a hundred do not show in a time (a pool
# with less than 20 blocks must have them all), while a pool that missed THP altogether stays far below.
THP_SHARE = 0.95
# Of the resident memory, the share that must lie in blocks where THP is possible. The unaligned ends of a mapping
# cannot, and need not; but a pool that is mostly such ends does not run on huge pages.
THP_POSSIBLE_SHARE = 0.5

# Gets that fail, as a share of all: with more, the figure is that of an empty pool.
FAILED_SHARE = 0.01

# A pool has all of its memory after the warm-up. One that grows in most samples, and by more than this share of the
# objects in use, may grow without bound.
GROWTH_SHARE = 0.05
LEAST_GROWTH = 4 << 20  # bytes

_LOOK = "see `allocmark doctor`"
_TAKE = "take its functions from the file itself, with dlopen and dlsym, or describe it as an allocmark.MallocLibrary"


def _mib(n: int) -> str:
    return f"{n / (1 << 20):.4g}"


def _thp(pool: Mapping[str, Any]) -> str | None:
    resident, thp, possible = pool["resident"], pool["thp"], pool["thp_possible"]
    if possible < THP_POSSIBLE_SHARE * resident:
        return f"only {_mib(possible)} of {_mib(resident)} MiB lie where a huge page fits"
    if thp < THP_SHARE * possible:
        return f"the kernel reports {_mib(thp)} of {_mib(possible)} MiB on transparent huge pages"
    return None


def _hugetlb(pool: Mapping[str, Any]) -> str | None:
    if pool["hugetlb"] < pool["resident"]:
        return f"the kernel reports {_mib(pool['hugetlb'])} of {_mib(pool['resident'])} MiB on hugetlb pages"
    return None


def _base(pool: Mapping[str, Any]) -> str | None:
    if huge := pool["hugetlb"] + pool["thp"]:
        return f"the kernel reports {_mib(huge)} of {_mib(pool['resident'])} MiB on huge pages"
    return None


_CHECKS = {Pages.THP: _thp, Pages.HUGETLB: _hugetlb, Pages.BASE: _base}


def check_pages(declared: Pages, measured: Mapping[str, Any]) -> str | None:
    """None when every pool lies on the declared page kind, else one line for the first that does not.

    ``measured`` is the result of the "pages" probe. What cannot be confirmed is not taken for true. THP: see
    `THP_SHARE`; hugetlb: every resident byte; base: no huge page at all.
    """
    if declared is Pages.ANY:
        return None
    if "pools" not in measured:
        return f"declared {declared}, but the pages are not known: {measured.get('unknown', 'nothing was measured')}"
    for name, pool in measured["pools"].items():
        if "unknown" in pool:
            return f"declared {declared}, but the pages of pool {name} are not known: {pool['unknown']}"
        found = "nothing of it is resident" if not pool["resident"] else _CHECKS[declared](pool)
        if found:
            return f"declared {declared}, but {found} in pool {name}; {_LOOK}"
    return None


def check_cache(asked: int, facts: Mapping[str, str]) -> str | None:
    """None when the pool reports no "cache", or the size asked for; else a line for the notes of a table.

    It is a note and no failure: an allocator may size its per-thread cache as it likes, but the reader must know when
    two allocators did not cache alike.
    """
    effective = facts.get("cache")
    if effective is None or effective == str(asked):
        return None
    return f"per-thread cache of {effective} objects, not the {asked} asked for"


def check_regions(reported: int) -> str | None:
    """None when every region that a pool reports was looked at, else a line for the notes of a table."""
    if reported <= MOST_REGIONS:
        return None
    return f"reports {reported:,} regions of memory; the first {MOST_REGIONS:,} are looked at"


def check_cpus(planned: Sequence[int], samples: Sequence[Sequence[int]]) -> str | None:
    """None when every actor was on the CPU ``planned`` for it (-1: on any), else a line for the notes of a table.

    ``samples`` gives for each sample the CPU of each actor at its end.
    """
    moved = sum(any(own not in (-1, cpu) for own, cpu in zip(planned, cpus, strict=True)) for cpus in samples)
    if not moved:
        return None
    return (
        f"in {moved} of {len(samples)} samples an actor was not on its own CPU: something else changed the CPUs that "
        "the process may use"
    )


def check_gets(failed: int, gets: float) -> str | None:
    """None when few gets failed, else a line for the notes of a table. ``gets`` were successful.

    A get that fails is tried again until the pool has enough objects, and the sample lasts as long as that takes.
    """
    share = failed / (failed + gets) if failed else 0.0
    if share <= FAILED_SHARE:
        return None
    return f"{100 * share:.0f} % of its gets found too few objects and were tried again: give the pool more objects"


def growth(resident: Sequence[int | None]) -> int:
    """Bytes that a process had resident after its last sample beyond those after its first; 0 where it had no more.

    ``resident`` are its bytes after each sample, in order.
    """
    known = [found for found in resident if found is not None]
    return max(0, known[-1] - known[0]) if known else 0


def check_growth(resident: Sequence[int | None], live: int) -> str | None:
    """None when the process did not keep growing, else a line for the notes of a table.

    ``resident`` are its bytes after each sample, in order; ``live`` those of the objects that are in use at most.
    """
    known = [found for found in resident if found is not None]
    steps = [after - before for before, after in pairwise(known)]
    grown = growth(resident)
    if grown <= max(LEAST_GROWTH, GROWTH_SHARE * live) or 2 * sum(step > 0 for step in steps) <= len(steps):
        return None
    return (
        f"its memory grew by {_mib(grown)} MiB in {len(known)} samples, with at most {_mib(live)} MiB in use: it may "
        "grow without bound"
    )


def check_library(declared: str, loaded: str | None, calls: Sequence[Call]) -> str | None:
    """None when the functions that a backend calls belong to the library that it declares, and to those that it is
    linked with; else one line for the first that does not.

    ``loaded`` is the file of the declared library, None when it is not loaded. A backend that declares none must still
    call what it was linked with: of two libraries with one malloc, the process's own wins.
    """
    for call in calls:
        if call.expected != call.file and call.expected:
            return f"its {call.name} is not that of {call.expected}, but that of {call.file}; {_TAKE}"
    if declared and not any(call.file == loaded for call in calls):
        return f"declared {declared}, but it calls no function of it; {_TAKE}"
    return None


def called_by(backend: Backend) -> list[Call]:
    """What a backend has called in this process so far. To find it takes milliseconds."""
    assert backend.table is not None  # only available variants are measured
    return calls(backend.table, backend.library)


def attest_library(backend: Backend, called: Sequence[Call]) -> str | None:
    """`check_library` in this process, which is that of a cell and has called get and put."""
    loaded = loaded_file(backend.library) if backend.library else None
    return check_library(backend.library, loaded, called)


def library_facts(backend: Backend, called: Sequence[Call]) -> dict[str, Any]:
    """The library that a backend measures in this process, for the run file; empty when it declares none.

    A file without a build id is told by a digest of its content.
    """
    if not backend.library or (file := loaded_file(backend.library)) is None:
        return {}
    own = sorted({call.name for call in called if call.file == file})
    found: dict[str, Any] = {"file": os.path.realpath(file), "build_id": build_id(file), "calls": own}
    if not found["build_id"]:
        found["digest"] = build_of(file)
    return found


def builds(backend: Backend, called: Sequence[Call]) -> dict[str, str]:
    """By `build_of`: the files that a backend is made of in this process, so that another build of one can be told.

    They are that of its table, and those whose functions it calls; Python's are not, which only load it. Empty when
    that of its table cannot be read.
    """
    assert backend.table is not None
    own = table_file(backend.table)
    others = {call.file for call in called if not call.name.startswith(("Py", "_Py"))}
    found = {build: file for file in {*others, own} if (build := build_of(file))}
    return found if own in found.values() else {}


def attest(backend: Backend, phases: Mapping[str, Mapping[str, Any]]) -> str | None:
    """None when what the backend declares was true in every phase, else one line with the phase.

    ``phases`` gives, for each phase ("populated", "after"), the results of the probes by their names.
    """
    for phase, results in phases.items():
        if wrong := check_pages(backend.pages, results["pages"]):
            return f"{phase}: {wrong}"
    return None
