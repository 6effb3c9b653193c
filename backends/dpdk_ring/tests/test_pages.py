# SPDX-License-Identifier: BSD-3-Clause
"""Huge pages are what the kernel calls huge pages, and the machine is afterwards as it was before."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from allocmark.system import machine

pytestmark = pytest.mark.alone

READ_ONLY_SYS = "mount --bind /sys /sys && mount -o remount,bind,ro /sys"


def test_hugetlb_pages_are_huge(cell):
    seen = cell("ring_mp_mc", "hugetlb", ["init", "create", "facts", "destroy", "fini"])
    assert seen["backing"]["page_size"] == 2 << 20
    assert seen["backing"]["hugetlb"] == seen["backing"]["resident"] >= seen["bytes"]
    assert seen["pool_facts"]["page_kb"] == "2048"


def test_base_pages_are_not(cell):
    seen = cell("ring_mp_mc", "base", ["init", "create", "facts", "destroy", "fini"])
    assert (seen["backing"]["hugetlb"], seen["backing"]["thp"]) == (0, 0)
    assert seen["backing"]["resident"] >= seen["bytes"]  # populated
    assert "hugepages_reserved_mb" not in seen["process_facts"]


def test_transparent_huge_pages_are_huge(cell):
    seen = cell("turbomem", "thp", ["init", "create", "facts", "exhaust", "destroy", "fini"], spec={"objects": 65535})
    assert seen["backing"]["thp"] == seen["backing"]["resident"] >= seen["bytes"] >= 65535 * 2176
    assert seen["pool_facts"]["page_kb"] == "2048"
    assert seen["pool_facts"]["handler"] == "turbomem"
    assert (seen["exhaust"]["taken"], seen["exhaust"]["inside"]) == (65535, True)
    assert seen["available"] == [65535]


def test_large_objects_are_populated(cell):
    large = {"object_size": 100_000, "objects": 300, "cache": 0}
    seen = cell("ring_mp_mc", "base", ["init", "create", "facts", "destroy", "fini"], spec=large)
    assert seen["backing"]["resident"] >= 300 * 100_000


@pytest.mark.usefixtures("machine_as_before")
def test_borrowed_pages_go_back(cell):
    seen = cell("ring_mp_mc", "hugetlb", ["init", "create", "facts", "destroy", "fini"])
    if seen["huge_at_start"]["free"] == 0:  # else DPDK used what was free
        assert int(seen["process_facts"]["hugepages_reserved_mb"]) << 20 >= 4095 * 2176
        assert seen["huge_while_mapped"]["surplus"] > 0


@pytest.mark.usefixtures("machine_as_before")
def test_borrowed_pages_go_back_without_fini(cell):
    cell("ring_mp_mc", "hugetlb", ["init", "create"])


@pytest.mark.usefixtures("machine_as_before")
def test_borrowed_pages_go_back_after_kill(cell):
    cell("ring_mp_mc", "hugetlb", ["init", "create", "die"], killed=True)


@pytest.mark.usefixtures("machine_as_before")
def test_a_refused_pool_gives_back_too(cell):
    huge = {"object_size": 1 << 30, "objects": 100_000, "cache": 0}
    seen = cell("ring_mp_mc", "hugetlb", ["init", "create"], spec=huge, pool_bytes=1 << 20)
    assert seen["create"] < 0
    assert "ask for a smaller pool" in seen["create_message"]


@pytest.mark.usefixtures("machine_as_before")
def test_processes_that_borrow_at_the_same_time(cell):
    with ThreadPoolExecutor() as pool:
        steps = ["init", "create", "exhaust", "destroy", "fini"]
        seen = list(pool.map(lambda _: cell("ring_mp_mc", "hugetlb", steps), range(6)))
    assert [one["exhaust"]["taken"] for one in seen] == [4095] * 6


def test_no_permission_names_the_command(cell):
    """/sys is mounted read-only for the process, as it is in many containers."""
    may_mount = subprocess.run(["unshare", "--mount", "sh", "-c", READ_ONLY_SYS], capture_output=True)
    if may_mount.returncode != 0:
        pytest.skip("this user may not mount")
    if machine.spare_huge_pages()[0] > 0:
        pytest.skip("huge pages are free here: none needs to be borrowed")
    inside = f"unshare --mount sh -c '{READ_ONLY_SYS} && exec \"$@\"' sh"
    seen = cell("ring_mp_mc", "hugetlb", ["init"], wrap=f'exec {inside} "$@"')
    assert seen["init"] == -1
    assert "echo " in seen["init_message"]
    assert "/proc/sys/vm/nr_hugepages" in seen["init_message"]
