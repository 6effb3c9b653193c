# SPDX-License-Identifier: BSD-3-Clause
"""NUMA node of the memory under sampled objects."""

from __future__ import annotations

import ctypes
import errno
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from allocmark.probes import PoolMemory, Probe, ProbeContext

_MOVE_PAGES = {"x86_64": 279, "aarch64": 239, "riscv64": 239, "ppc64le": 301, "s390x": 310}
_libc = ctypes.CDLL(None, use_errno=True)


def move_pages(pid: int, addresses: Sequence[int]) -> list[int]:
    """The node of the page at each address, or a negative errno value (-ENOENT: not present).

    From move_pages(2), which moves nothing without target nodes. Raises OSError: EPERM in containers that forbid it.
    """
    number = _MOVE_PAGES.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, f"number of move_pages not known on {os.uname().machine}")
    n = len(addresses)
    status = (ctypes.c_int * n)()
    pages = (ctypes.c_void_p * n)(*addresses)
    arguments = [ctypes.c_long(pid), ctypes.c_ulong(n), pages, None, status, ctypes.c_long(0)]
    if _libc.syscall(ctypes.c_long(number), *arguments):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return list(status)


def parse_numa_maps(text: str) -> list[tuple[int, dict[str, int]]]:
    """(first address, pages on each node) of the mappings in the text of ``/proc/PID/numa_maps``."""
    found = []
    for line in text.splitlines():
        address, *words = line.split()
        pairs = (word[1:].split("=") for word in words if word[0] == "N" and word[1:2].isdigit())
        found.append((int(address, 16), {node: int(pages) for node, pages in pairs}))
    return found


def _of_mappings(pid: int, addresses: Sequence[int]) -> dict[str, int]:
    """Pages on each node of the mappings that hold the addresses. Raises OSError."""
    maps = parse_numa_maps(Path(f"/proc/{pid}/numa_maps").read_text(errors="replace"))
    total: Counter[str] = Counter()
    for first in {max((start for start, _ in maps if start <= a), default=-1) for a in addresses}:
        total.update(dict(maps).get(first, {}))
    return dict(total)


def of_pool(pid: int, pool: PoolMemory) -> dict[str, Any]:
    """``{"nodes": {NODE: count}, "of": what is counted, "source": …}`` or ``{"unknown": reason}``.

    Sampled objects are counted, by the page of their first byte; ``not_resident`` counts those that have none. Where
    the kernel tells only about whole mappings, the pages of these are counted.
    """
    if not pool.objects:
        return {"unknown": "no object was sampled"}
    try:
        nodes = move_pages(pid, pool.objects)
    except OSError as error:
        refused = error.strerror
    else:
        count = Counter(str(node) for node in nodes if node >= 0)
        result = {"nodes": dict(sorted(count.items())), "of": "sampled objects", "source": "move_pages"}
        return result | ({"not_resident": len(nodes) - count.total()} if count.total() < len(nodes) else {})
    try:
        pages = _of_mappings(pid, pool.objects)
    except OSError as error:
        return {"unknown": f"move_pages: {refused}; /proc/{pid}/numa_maps: {error.strerror}"}
    return {"nodes": dict(sorted(pages.items())), "of": "pages of the mappings", "source": "numa_maps"}


def measure(context: ProbeContext) -> dict[str, Any]:
    """``{"pools": {NAME: nodes}}``; see `of_pool`."""
    return {"pools": {pool.name: of_pool(context.pid, pool) for pool in context.pools}}


NUMA = Probe("numa", "NUMA node of the memory under sampled objects", "objects", measure)
