# SPDX-License-Identifier: BSD-3-Clause
"""Real memory of a known page kind, in a process of its own; the probes look from inside, as in a cell."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

PRELUDE = """
import ctypes, dataclasses, json, mmap, os
from allocmark.probes import PoolMemory, ProbeContext
from allocmark.probes import resident as memory
from allocmark.probes import nodes as numa
from allocmark.probes import page_kinds as pages
from allocmark.system import mappings as vmas

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
MIB, PAGE = 1 << 20, vmas.PAGE
BLOCK = vmas.thp_size()
HUGETLB, FIXED = 0x40000, 0x10
SHARED, PRIVATE = mmap.MAP_SHARED, mmap.MAP_PRIVATE

def map_at(length, flags=PRIVATE, prot=3, address=None):
    flags |= mmap.MAP_ANONYMOUS
    p = libc.mmap(ctypes.c_void_p(address), ctypes.c_size_t(length), prot, flags, -1, ctypes.c_long(0))
    if p == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return p

def map_aligned(length):
    "A mapping of its own that starts on a huge-page boundary: neighbours without access keep it apart."
    around = map_at(length + 2 * BLOCK, prot=0)
    start = -(-(around + 1) // BLOCK) * BLOCK
    return map_at(length, PRIVATE | FIXED, address=start)

def advise(start, length, advice):
    assert libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), advice) == 0

def touch(start, length, step=PAGE):
    for address in range(start, start + length, step):
        ctypes.memset(address, 1, 8)

def mapped(length, advice, touched=None):
    "A mapping of its own, of which the beginning was written, or all."
    start = map_aligned(length)
    advise(start, length, advice)
    touch(start, length if touched is None else touched)
    return start

def read_each(start, length):
    for address in range(start, start + length, PAGE):
        ctypes.string_at(address, 1)

def pool(regions=(), objects=(), size=2048, asked=0):
    return PoolMemory("p", size, asked, list(regions), list(objects))

def look(probe, a_pool):
    context = ProbeContext("populated", os.getpid(), [a_pool])
    return probe.measure(context)["pools"]["p"]

def show(value):
    print(json.dumps(value))
"""


@pytest.fixture
def child() -> Callable[[str], Any]:
    """Run a script after the prelude; what it gave to `show` comes back."""

    def run(script: str) -> Any:
        done = subprocess.run([sys.executable, "-c", PRELUDE + script], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
