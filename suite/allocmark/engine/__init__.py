# SPDX-License-Identifier: BSD-3-Clause
"""The native engine. It knows the ABI of ``allocmark/backend.h`` and nothing of Python's backends."""

from __future__ import annotations

from allocmark.engine._engine import ffi, lib


def table_problem(address: int) -> str | None:
    """What is wrong with the ``allocmark_backend`` at a readable address, or None."""
    problem = lib.am_table_problem(ffi.cast("void *", address))
    return None if problem == ffi.NULL else ffi.string(problem).decode()


def null_table() -> int:
    """Address of the floor's ``allocmark_backend``."""
    return int(ffi.cast("uintptr_t", lib.am_null_table()))


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


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process, and its process group, 2 s after the process ``parent`` died."""
    lib.am_end_with_parent(parent)


def report_crashes(descriptor: int) -> None:
    """Have a crash of this process first write ``{"crashed_in": "get_bulk"}`` there, where the function is known."""
    lib.am_report_crashes(descriptor)
