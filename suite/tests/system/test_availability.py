# SPDX-License-Identifier: BSD-3-Clause
"""What a plugin is told when memory of some kind is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from allocmark import Unavailable
from allocmark.system import availability, machine
from allocmark.system.availability import hugetlb_unavailable, memory_unavailable, thp_unavailable

MIB = 1 << 20


@pytest.fixture(autouse=True)
def ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def counts(monkeypatch: pytest.MonkeyPatch, folder: Path, **values: int) -> None:
    """The kernel's counts of huge pages are these, and 0 elsewhere."""
    pages = folder / "hugepages-2048kB"
    pages.mkdir()
    for name in ("nr", "free", "resv", "surplus", "nr_overcommit"):
        (pages / f"{name}_hugepages").write_text(f"{values.get(name, 0)}\n")
    monkeypatch.setattr(machine, "HUGEPAGES", str(folder))


@pytest.mark.parametrize(
    ("values", "size", "possible"),
    [
        ({}, 1, False),
        ({"nr": 9, "free": 9}, 1, True),
        ({"nr": 9, "free": 9}, 18 * MIB, True),
        ({"nr": 9, "free": 9}, 18 * MIB + 1, False),
        ({"nr": 9, "free": 9, "resv": 9}, 1, False),  # all are promised
        ({"nr_overcommit": 8}, 1, True),  # the kernel makes some by itself
        ({"nr": 9, "free": 9, "nr_overcommit": 1}, 20 * MIB, True),
        ({"nr": 8, "surplus": 8, "nr_overcommit": 8}, 1, False),
    ],
)
def test_huge_pages_that_this_user_may_not_reserve(tmp_path, monkeypatch, values, size, possible):
    counts(monkeypatch, tmp_path, **values)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    found = hugetlb_unavailable(size)
    assert (found is None) == possible
    if found is not None:
        assert found.reason.endswith(", and this user may not reserve any")
        assert found.fix == f"echo {values.get('nr', 0) + 256} | sudo tee /proc/sys/vm/nr_hugepages"


def test_huge_pages_that_a_backend_may_borrow(tmp_path, monkeypatch):
    counts(monkeypatch, tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: path.endswith("2048kB/nr_overcommit_hugepages"))
    assert hugetlb_unavailable(MIB) is None
    assert "of memory are needed, and" in hugetlb_unavailable(1 << 60).reason


def test_a_kernel_without_huge_pages(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "HUGEPAGES", str(tmp_path))
    assert hugetlb_unavailable().fix == "boot a kernel built with CONFIG_HUGETLBFS=y"


@pytest.mark.parametrize(
    ("modes", "missing"),
    [
        ("always [madvise] never", None),
        ("[always] madvise never", None),
        (
            "always madvise [never]",
            Unavailable("transparent huge pages are off", f"echo madvise | sudo tee {machine.THP}/enabled"),
        ),
        (
            None,
            Unavailable(
                "this kernel has no transparent huge pages", "boot a kernel built with CONFIG_TRANSPARENT_HUGEPAGE=y"
            ),
        ),
    ],
)
def test_transparent_huge_pages(monkeypatch, modes, missing):
    monkeypatch.setattr(availability, "read", lambda path: modes)
    assert thp_unavailable() == missing


def test_memory():
    assert memory_unavailable(MIB) is None
    assert memory_unavailable(MIB, 0) is None
    assert memory_unavailable(1 << 50, 0).reason.startswith("1048576.0 GiB of memory are needed on NUMA node 0, and")
    assert memory_unavailable(MIB, 4711).reason == "this machine has no NUMA node 4711"


def test_the_memory_of_a_node(tmp_path, monkeypatch):
    """4,000 kB free, 1,000 kB of files, less a fiftieth of 100,000 kB."""
    monkeypatch.setattr(machine, "NODE", str(tmp_path))
    (tmp_path / "node1").mkdir()
    lines = {"MemTotal": 100_000, "MemFree": 4_000, "Active(file)": 300, "Inactive(file)": 700}
    text = "".join(f"Node 1 {name}: {kb} kB\n" for name, kb in lines.items())
    (tmp_path / "node1" / "meminfo").write_text(text)
    assert machine.mem_available(1) == 3_000 * 1024
