# SPDX-License-Identifier: BSD-3-Clause
"""Can this process have memory of some kind? For a plugin that lists variants: None, or the reason and the fix.

The answers are of this moment and start nothing::

    Backend(..., table=None if (missing := thp_unavailable()) else table, unavailable=missing)
"""

from __future__ import annotations

import os

from allocmark.backend import Unavailable
from allocmark.system import machine
from allocmark.system.machine import HUGEPAGES, THP, chosen, read


def as_root(command: str) -> str:
    """A shell command that needs root's rights, as this user has to type it."""
    return command if os.geteuid() == 0 else f"sudo {command}"


def built_again(distribution: str, packages: str) -> str:
    """The fix for a plugin that was built without what these system packages have: only its source can be built."""
    again = f"install {distribution} again from its source (in a clone of allocmark: make setup)"
    return f"{as_root(f'apt-get install {packages}')}, then {again}"


def write_command(path: str, value: object) -> str:
    """The shell command that writes a value into a file of the kernel."""
    return f"echo {value} > {path}" if os.geteuid() == 0 else f"echo {value} | sudo tee {path}"


def size_text(n: int) -> str:
    """Bytes for a person: "1.5 GiB", "64 MiB"."""
    return f"{n / (1 << 30):.1f} GiB" if n >= 1 << 30 else f"{n / (1 << 20):.4g} MiB"


def memory_unavailable(size: int, node: int | None = None) -> Unavailable | None:
    """Why ``size`` bytes of memory cannot be had, on one NUMA node or anywhere."""
    where = "" if node is None else f" on NUMA node {node}"
    if node is not None and node not in (machine.numa_nodes() or [0]):
        return Unavailable(f"this machine has no NUMA node {node}", "numactl --hardware")
    available = machine.mem_available(node)
    if size <= available:
        return None
    reason = f"{size_text(size)} of memory are needed{where}, and {size_text(available)} are available"
    return Unavailable(reason, "ask for fewer or smaller objects, or end other programs")


def thp_unavailable() -> Unavailable | None:
    """Why the kernel gives no transparent huge pages to a process that asks for them with ``madvise``."""
    mode = chosen(read(f"{THP}/enabled"))
    if mode is None:
        return Unavailable(
            "this kernel has no transparent huge pages", "boot a kernel built with CONFIG_TRANSPARENT_HUGEPAGE=y"
        )
    if mode == "never":
        return Unavailable("transparent huge pages are off", write_command(f"{THP}/enabled", "madvise"))
    return None


def hugetlb_unavailable(size: int = 1) -> Unavailable | None:
    """Why hugetlb pages of 2 MB for ``size`` bytes cannot be had.

    They can be had where enough are free, and where this user may raise the kernel's limit of surplus pages while the
    memory is mapped, as ``allocmark/huge_pages.h`` does.
    """
    spare = machine.spare_huge_pages()
    if spare is None:
        return Unavailable("this kernel has no huge pages of 2 MB", "boot a kernel built with CONFIG_HUGETLBFS=y")
    free, on_demand = spare
    pages = max(1, -(-size // (2 << 20)))
    if free + on_demand >= pages:
        return None
    if os.access(f"{HUGEPAGES}/hugepages-2048kB/nr_overcommit_hugepages", os.W_OK):
        return memory_unavailable((pages - free) * (2 << 20))
    total = machine.huge_pages()["2048kB"]["total"] or 0
    found = "no huge page of 2 MB is free" if pages == 1 else f"{pages} huge pages of 2 MB are needed, {free} are free"
    return Unavailable(
        f"{found}, and this user may not reserve any",
        write_command("/proc/sys/vm/nr_hugepages", total + max(256, pages - free)),
    )
