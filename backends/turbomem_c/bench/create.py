# SPDX-License-Identifier: BSD-3-Clause
"""How long creating a pool of 1,048,576 objects of 2,176 bytes on 2 MB pages takes: TurboMem's ways beside DPDK's.

    python backends/turbomem_c/bench/create.py [ROUNDS]

Reserves as many 2 MB pages as are missing (as root) and gives them back afterwards. Every round is a process of its
own, in which all are timed in turn. Printed are medians with 95 % intervals, and the ratios to DPDK within rounds, with
99 % for all of them together; that takes 13 rounds or more.
"""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from samples import collect, table

from allocmark import pkg_config

HUGEPAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
#: one pool at a time: 1,048,576 objects with DPDK's header of 64 bytes, its ring, and room
NEEDED = 1250


@contextmanager
def reserved(pages: int) -> Iterator[None]:
    """At least that many free pages. Raises SystemExit where they cannot be had."""
    total, free = HUGEPAGES / "nr_hugepages", HUGEPAGES / "free_hugepages"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("create: ended by a signal"))  # and given back all the same
    missing = max(0, pages - int(free.read_text()))
    added = 0
    try:
        if missing:
            before = int(total.read_text())
            total.write_text(str(before + missing))
            added = int(total.read_text()) - before
        if int(free.read_text()) < pages:
            sys.exit(f"create: {pages} free pages of 2 MB are needed; memory is too short or too fragmented")
        yield
    except PermissionError:
        sys.exit(f"create: {missing} more free pages of 2 MB are needed: as root, write to {total}")
    finally:
        if added:  # less what was added, for others may have changed it meanwhile
            total.write_text(str(int(total.read_text()) - added))


def main(rounds: int) -> None:
    flags = pkg_config("--cflags", "--libs", "libdpdk")
    if flags is None:
        sys.exit("create: DPDK is not installed: apt-get install libdpdk-dev")
    with reserved(NEEDED):
        found = collect("create", rounds, ["-Wno-volatile", *shlex.split(flags)])
    print(table(found, "dpdk", "s", len(found) - 1))
    print(f"{rounds} processes. pages-alone: only what TurboMem's objects lie on, cleared by the kernel.")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
