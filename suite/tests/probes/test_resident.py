# SPDX-License-Identifier: BSD-3-Clause
import pytest

from allocmark.probes.resident import parse_status
from allocmark.system.mappings import PAGE

pytestmark = pytest.mark.alone

MIB = 1 << 20


def test_status_is_parsed():
    text = "Name:\tpython3\nVmHWM:\t   99999 kB\nVmRSS:\t    1024 kB\nHugetlbPages:\t    4096 kB\nThreads:\t1\n"
    assert parse_status(text) == 5 * MIB
    assert parse_status("Name:\tkthreadd\n") is None


def test_a_touched_pool_is_resident_and_its_overhead_is_told(child):
    """1,000 objects of 2,000 bytes in 2,048 bytes each, and a pool of which half was touched."""
    found = child("""
start = map_aligned(2000 * 2048)
advise(start, 2000 * 2048, mmap.MADV_NOHUGEPAGE)
before = memory.of_process(os.getpid())["resident"]
touch(start, 1000 * 2048)
after = memory.of_process(os.getpid())["resident"]
full = pool([(start, 1000 * 2048)], size=2000, asked=1000)
half = pool([(start, 2000 * 2048)], size=2000, asked=2000)
show([after - before, look(memory.MEMORY, full), look(memory.MEMORY, half)])
""")
    grown, full, half = found
    assert grown == pytest.approx(1000 * 2048, abs=64 * 1024)
    assert (full["bytes"], full["resident"], full["over_size"]) == (1000 * 2048, 1000 * 2048, 48.0)
    assert (half["bytes"], half["resident"], half["over_size"]) == (2000 * 2048, 1000 * 2048, 1024.0 - 2000)


@pytest.mark.usefixtures("hugetlb")
def test_hugetlb_pages_count_as_resident(child):
    found = child("""
start = map_at(8 * MIB, PRIVATE | HUGETLB)
before = memory.of_process(os.getpid())["resident"]
touch(start, 8 * MIB)
show([memory.of_process(os.getpid())["resident"] - before, look(memory.MEMORY, pool([(start, 8 * MIB)]))])
""")
    assert found[0] == pytest.approx(8 * MIB, abs=64 * PAGE)
    assert found[1]["resident"] == 8 * MIB
    assert "over_size" not in found[1]  # no number of objects was asked for


def test_without_regions_it_says_why(child):
    found = child("show(look(memory.MEMORY, pool([], [id(pool)])))")
    assert found == {"unknown": "the backend does not report where its objects lie"}


def test_a_process_that_is_gone_says_why(child):
    found = child("show(memory.of_process(2**22 + 1))")
    assert found == {"unknown": f"/proc/{2**22 + 1}/status: No such file or directory"}
