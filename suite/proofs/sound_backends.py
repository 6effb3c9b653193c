# SPDX-License-Identifier: BSD-3-Clause
"""Does the acceptance kit pass every sound backend, time after time? Runs the whole kit on the default variants of all
backends that are installed, again and again, as many at once as there are CPUs, and prints a table.

What was found is kept in a journal, so that the same command goes on where it was ended. A pass counts for a label and
a version: begin a new journal after a change of your own.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tabulate import tabulate

from allocmark import conformance
from allocmark.backend import Backend
from allocmark.discovery import discover
from allocmark.gate.journal import Journal
from allocmark.measuring.plan import select_backends
from allocmark.measuring.request import Request
from allocmark.measuring.single import MEASURING_VERSION
from allocmark.output.text.wording import kit_power


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backends", nargs="*", metavar="NAME[:VARIANT]", help="of these (default: all, but the floor)")
    parser.add_argument("--times", type=int, default=100, metavar="N", help="so often (default 100)")
    parser.add_argument(
        *("--output", "-o"),
        type=Path,
        default=Path("conformance"),
        metavar="DIR",
        help="where the journal is (default: conformance)",
    )
    options = parser.parse_args()
    request = Request(backends=options.backends, group="" if options.backends else "all")
    found = [each.backend for each in select_backends(discover(), request, floor=False)]
    chosen = [backend for backend in found if not backend.unavailable and not backend.floor]
    with (
        Journal(options.output, "sound", {"format": 1, "measuring": MEASURING_VERSION}) as journal,
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,
    ):
        # Round by round, so that all have been checked about as often when it is ended.
        for number in range(options.times):
            due = [backend for backend in chosen if len(_of(backend, journal.records)) <= number]
            for done in as_completed([pool.submit(_checked, backend) for backend in due]):
                record = done.result()
                journal.append(record)
                failed = "".join(f"; {why}" for why in record["failed"])
                print(f"{number + 1} of {options.times}: {record['backend']}{failed}", file=sys.stderr, flush=True)
        kept = journal.records
    print(tabulate(*_table(chosen, kept), tablefmt="github"))
    return int(any(record["failed"] for backend in chosen for record in _of(backend, kept)))


def _of(backend: Backend, kept: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [each for each in kept if (each["backend"], each["version"]) == (backend.label, backend.version)]


def _checked(backend: Backend) -> dict[str, Any]:
    """One pass of the whole kit."""
    results = [(str(case), case.run()) for case in conformance.cases(backend.label)]
    return {
        "backend": backend.label,
        "version": backend.version,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "calls": sum(result.calls for _, result in results),
        "refused": [name for name, result in results if result.status in ("refused", "unavailable")],
        "failed": [f"{name}: {result.reason}" for name, result in results if result.status == "failed"],
    }


def _table(
    backends: Sequence[Backend], kept: Sequence[Mapping[str, Any]]
) -> tuple[list[tuple[Any, ...]], tuple[str, ...]]:
    rows = []
    for backend in backends:
        own = _of(backend, kept)
        failed = [each for each in own if each["failed"]]
        power = kit_power(sum(each["calls"] for each in own))
        rows.append((backend.label, backend.version, len(own), len(failed), power))
    return rows, ("backend", "version", "times checked", "failed", "calls in all")


if __name__ == "__main__":
    sys.exit(main())
