# SPDX-License-Identifier: BSD-3-Clause
"""The page kinds that the probe reports are those that the memory was mapped with."""

import pytest

from allocmark.probes import PoolMemory, ProbeContext
from allocmark.probes.page_kinds import PAGES
from allocmark.system.mappings import PAGE, thp_size

pytestmark = pytest.mark.alone

MIB = 1 << 20


def test_base_pages(child):
    found = child("""
start = mapped(8 * MIB, mmap.MADV_NOHUGEPAGE)
show(look(pages.PAGES, pool([(start, 8 * MIB)])))
""")
    assert found["resident"] == found["base"] == found["bytes"] == 8 * MIB
    assert found["thp"] == found["hugetlb"] == 0
    assert found["huge_share"] == 0.0
    assert found["page_size"] == PAGE
    assert (found["advice"], found["of"], found["mappings"]) == ("nohugepage", "regions", 1)


@pytest.mark.usefixtures("thp")
def test_transparent_huge_pages(child):
    found = child("""
start = mapped(16 * MIB, mmap.MADV_HUGEPAGE)
show(look(pages.PAGES, pool([(start, 16 * MIB)])))
""")
    assert found["resident"] == found["thp"] == found["thp_possible"] == 16 * MIB
    assert found["base"] == found["hugetlb"] == 0
    assert found["huge_share"] == 1.0
    assert found["page_size"] == thp_size()
    assert found["advice"] == "hugepage"


@pytest.mark.usefixtures("hugetlb")
def test_hugetlb_pages(child):
    found = child("""
start = map_at(8 * MIB, PRIVATE | HUGETLB)
touch(start, 6 * MIB)
scanned = look(pages.PAGES, pool([(start, 8 * MIB)]))
show([scanned, dataclasses.asdict(vmas.backing(os.getpid(), [(start, start + 8 * MIB)], scan=False))])
""")
    for figures in found:
        assert figures["resident"] == figures["hugetlb"] == 6 * MIB
        assert figures["thp"] == figures["thp_possible"] == 0
        assert figures["page_size"] == 2 * MIB


@pytest.mark.usefixtures("thp")
def test_regions_of_two_kinds(child):
    found = child("""
start = map_aligned(16 * MIB)
advise(start, 8 * MIB, mmap.MADV_HUGEPAGE)
advise(start + 8 * MIB, 8 * MIB, mmap.MADV_NOHUGEPAGE)
touch(start, 16 * MIB)
show(look(pages.PAGES, pool([(start, 16 * MIB)])))
""")
    assert (found["thp"], found["base"], found["huge_share"]) == (8 * MIB, 8 * MIB, 0.5)
    assert (found["advice"], found["mappings"]) == ("mixed", 2)


@pytest.mark.usefixtures("thp")
def test_part_of_a_mapping_that_is_half_huge(child):
    """One mapping, its second half split back to base pages: the halves are told apart, but not by smaps."""
    found = child("""
start, half = map_aligned(16 * MIB), 8 * MIB
advise(start, 2 * half, mmap.MADV_HUGEPAGE)
touch(start, 2 * half)
assert libc.prctl(41, 1, 0, 0, 0) == 0  # PR_SET_THP_DISABLE: khugepaged must not join what is split next
for block in range(start + half, start + 2 * half, BLOCK):
    advise(block, PAGE, mmap.MADV_DONTNEED)
ranges = [(start, half), (start + half, half), (start, 2 * half)]
scanned = [look(pages.PAGES, pool([r])) for r in ranges]
whole = [vmas.backing(os.getpid(), [(a, a + n)], scan=False) for a, n in ranges]
show([scanned, [dataclasses.asdict(b) | {"base": b.base} for b in whole]])
""")
    (first, second, both), whole = found
    if first["source"] != "pagemap":
        pytest.skip("this kernel has no PAGEMAP_SCAN: parts of a mapping cannot be told apart")
    holes = 8 * MIB // thp_size() * PAGE
    assert (first["thp"], first["base"]) == (8 * MIB, 0)
    assert (second["thp"], second["base"]) == (0, 8 * MIB - holes)
    assert (both["thp"], both["base"]) == (8 * MIB, 8 * MIB - holes)
    assert both["mappings"] == 1
    for figures, exact in zip(whole, (False, False, True), strict=True):
        # the same, whichever half is meant
        assert (figures["thp"], figures["base"]) == (8 * MIB, 8 * MIB - holes)
        assert figures["exact"] is exact


@pytest.mark.parametrize("advice", ["MADV_HUGEPAGE", "MADV_NOHUGEPAGE"])
def test_memory_that_was_only_read_is_not_resident(child, advice):
    """It is the shared zero page, of either size."""
    found = child(f"""
start = map_aligned(4 * MIB)
libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(4 * MIB), mmap.{advice})
read_each(start, 4 * MIB)
show(look(pages.PAGES, pool([(start, 4 * MIB)])))
""")
    assert (found["resident"], found["huge_share"], found["page_size"]) == (0, None, None)


@pytest.mark.usefixtures("thp")
def test_ends_where_no_huge_page_fits_are_told(child):
    found = child("""
start = map_aligned(8 * MIB)
advise(start, 8 * MIB, mmap.MADV_HUGEPAGE)
libc.munmap(ctypes.c_void_p(start), ctypes.c_size_t(MIB))
start, length = start + MIB, 7 * MIB
touch(start, length)
show(look(pages.PAGES, pool([(start, length)])))
""")
    assert (found["resident"], found["thp"], found["thp_possible"]) == (7 * MIB, 6 * MIB, 6 * MIB)


def test_without_regions_the_sampled_objects_are_looked_at(child):
    found = child("""
start = mapped(8 * MIB, mmap.MADV_NOHUGEPAGE)
objects = [start + 100, start + 3 * PAGE, start + 5 * PAGE + 4000]
show(look(pages.PAGES, pool([], objects, size=200)))
""")
    assert found["of"] == "sampled objects"
    assert found["bytes"] == 600
    assert found["resident"] == found["base"] == 4 * PAGE  # the last object lies on two pages


def test_what_cannot_be_known_says_why():
    nothing = PoolMemory("nothing", 64, 1, [], [])
    nowhere = PoolMemory("nowhere", 64, 1, [(PAGE, PAGE)], [])
    pools = PAGES.measure(ProbeContext("after", 2**22 + 1, [nothing, nowhere]))["pools"]
    assert pools["nothing"] == {"unknown": "the backend reports no regions and no object was sampled"}
    assert pools["nowhere"] == {"unknown": f"/proc/{2**22 + 1}/smaps: No such file or directory"}


def test_an_address_that_is_not_mapped_says_so(child):
    assert child("show(look(pages.PAGES, pool([(PAGE, PAGE)])))") == {"unknown": "no mapping of the process holds it"}
