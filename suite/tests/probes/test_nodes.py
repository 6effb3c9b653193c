# SPDX-License-Identifier: BSD-3-Clause
import os

import pytest

from allocmark.probes.nodes import move_pages, parse_numa_maps
from allocmark.system.machine import NODE, parse_cpu_list, read

NUMA_MAPS = """\
559d6c7c0000 default file=/usr/bin/python3.11 mapped=2 N0=2 kernelpagesize_kB=4
7f2ea1600000 bind:1 anon=20 dirty=20 active=0 N0=8 N1=12 kernelpagesize_kB=4
7f2ea5600000 default file=/anon_hugepage\\040(deleted) huge anon=3 dirty=3 N1=3 kernelpagesize_kB=2048
7f2ea7600000 default
"""

needs_nodes = pytest.mark.skipif(read(f"{NODE}/online") is None, reason="this kernel knows no NUMA nodes")


def test_numa_maps_is_parsed():
    assert parse_numa_maps(NUMA_MAPS) == [
        (0x559D6C7C0000, {"0": 2}),
        (0x7F2EA1600000, {"0": 8, "1": 12}),
        (0x7F2EA5600000, {"1": 3}),
        (0x7F2EA7600000, {}),
    ]


@needs_nodes
def test_every_touched_object_has_a_node(child):
    """64 objects on pages of their own, of which the last eight were never touched."""
    script = """
start = mapped(64 * PAGE, mmap.MADV_NOHUGEPAGE, 56 * PAGE)
show(look(numa.NUMA, pool([], [start + i * PAGE + 64 for i in range(64)])))
"""
    found = child(script)
    if found["source"] != "move_pages":
        pytest.skip("move_pages is forbidden here")
    assert found["of"] == "sampled objects"
    assert sum(found["nodes"].values()) == 56
    assert found["not_resident"] == 8
    assert {int(node) for node in found["nodes"]} <= set(parse_cpu_list(read(f"{NODE}/online") or ""))


@needs_nodes
def test_where_move_pages_is_forbidden_the_mappings_are_counted(child):
    found = child("""
import errno
def forbidden(pid, addresses):
    raise OSError(errno.EPERM, "Operation not permitted")
numa.move_pages = forbidden
start = mapped(64 * PAGE, mmap.MADV_NOHUGEPAGE, 40 * PAGE)
show(look(numa.NUMA, pool([], [start, start + 3 * PAGE])))
""")
    assert found["source"] == "numa_maps"
    assert found["of"] == "pages of the mappings"
    assert sum(found["nodes"].values()) == 40


def test_the_kernel_refuses_a_process_that_is_gone():
    with pytest.raises(OSError, match=r"No such process|not known on|not permitted"):
        move_pages(2**22 + 1, [id(os)])


def test_without_objects_it_says_why(child):
    assert child("show(look(numa.NUMA, pool()))") == {"unknown": "no object was sampled"}
