# SPDX-License-Identifier: BSD-3-Clause
"""The native engine. It knows the ABI of ``allocmark/backend.h`` and nothing of Python's backends."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from allocmark.engine._engine import ffi, lib


def table_problem(address: int) -> str | None:
    """What is wrong with the ``allocmark_backend`` at a readable address, or None."""
    problem = lib.am_table_problem(ffi.cast("void *", address))
    return None if problem == ffi.NULL else ffi.string(problem).decode()


def null_table() -> int:
    """Address of the floor's ``allocmark_backend``."""
    return int(ffi.cast("uintptr_t", lib.am_null_table()))


def malloc_table() -> int:
    """Address of the ``allocmark_backend`` of any library with the malloc interface: see `allocmark.malloc_library`."""
    return int(ffi.cast("uintptr_t", lib.am_malloc_table()))


def malloc_problem(options: Mapping[str, str]) -> str | None:
    """Loads the library that `malloc_table` is to measure into this process: why that failed, or None."""
    names = [
        (ffi.new("char[]", os.fsencode(key)), ffi.new("char[]", os.fsencode(value))) for key, value in options.items()
    ]
    given = ffi.new("allocmark_option[]", names)
    error = ffi.new("allocmark_error *")
    init = ffi.new("allocmark_init *", {"n_options": len(names), "options": given})
    failed = ffi.cast("const allocmark_backend *", lib.am_malloc_table()).init(init, error)
    return ffi.string(error.message).decode(errors="replace") if failed else None


@dataclass(frozen=True)
class Call:
    """A function that a backend calls, the file that it lies in, and the one that it should; "" where any will do."""

    name: str
    file: str
    expected: str


_FEW_CALLS = 256  #: that a backend makes, mostly


def calls(address: int, library: str = "") -> list[Call]:
    """What the backend with the table at ``address`` calls in this process, and has called so far. ``library``: the
    one that it declares."""
    table, declared = ffi.cast("void *", address), os.fsencode(library) if library else ffi.NULL
    room, count = 0, _FEW_CALLS
    while count > room:  # to count them takes as long as to tell them
        room = count
        found = ffi.new("am_called[]", room)
        count = lib.am_calls(table, declared, found, room)
    return [Call(*(os.fsdecode(ffi.string(text)) for text in (c.name, c.file, c.expected))) for c in found[0:count]]


def loaded_file(library: str) -> str | None:
    """The file of a library, by its name or path, in this process; None when it is not loaded."""
    file = lib.am_loaded_file(os.fsencode(library))
    return None if file == ffi.NULL else os.fsdecode(ffi.string(file))


def table_file(address: int) -> str:
    """The file that the functions of the table at ``address`` lie in; "" when that is not known."""
    return os.fsdecode(ffi.string(lib.am_table_file(ffi.cast("void *", address))))


def twin(address: int) -> tuple[int, dict[str, str]]:
    """Address of a table that does the same as the one at ``address`` behind one more call, and the options that it
    needs beside the original's own. With the option ``twin.planted`` it takes longer."""
    table = int(ffi.cast("uintptr_t", lib.am_twin_table(ffi.cast("void *", address))))
    return table, {"twin.table": str(address)}


def end_backend() -> None:
    """End the backend that lasting engines shared, after the last of them."""
    lib.am_backend_end()


def core_distance(cpu_a: int, cpu_b: int, rounds: int = 8) -> float:
    """Round trip of one cache line between two CPUs, in ns: the median of ``rounds`` batches of 100 trips.

    Raises OSError when one of the CPUs may not be used.
    """
    distance = float(lib.am_core_distance(cpu_a, cpu_b, rounds))
    if distance < 0:
        raise OSError(int(-distance), f"no core-to-core probe between CPUs {cpu_a} and {cpu_b}")
    return distance


def core_pace(cpu: int) -> float:
    """How fast a CPU is now, in ns: copying a kilobyte within its L1 cache. About twice that while something else runs
    on the other hardware thread of its core.

    Raises OSError when the CPU may not be used.
    """
    pace = float(lib.am_core_pace(cpu))
    if pace < 0:
        raise OSError(int(-pace), f"the speed of CPU {cpu} cannot be measured")
    return pace


def report_crashes(descriptor: int) -> None:
    """Have a crash of this process first write ``{"crashed_in": "get_bulk"}`` there, where the function is known."""
    lib.am_report_crashes(descriptor)
