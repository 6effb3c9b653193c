# SPDX-License-Identifier: BSD-3-Clause
"""What smaps says is read as it is written, and ranges are cut at the mappings."""

from allocmark.system.mappings import PAGE, Vma, merge, overlaps, parse_smaps

MIB = 1 << 20

SMAPS = """\
7f2ea1600000-7f2ea5600000 rw-p 00000000 00:00 0
Size:              65536 kB
KernelPageSize:        4 kB
MMUPageSize:           4 kB
Rss:               40960 kB
Anonymous:         40960 kB
AnonHugePages:     32768 kB
ShmemPmdMapped:        0 kB
FilePmdMapped:         0 kB
Shared_Hugetlb:        0 kB
Private_Hugetlb:       0 kB
THPeligible:           1
VmFlags: rd wr mr mw me ac sd hg
7f2ea5600000-7f2ea5e00000 rw-p 00000000 00:0f 1036  /anon_hugepage (deleted)
Size:               8192 kB
KernelPageSize:     2048 kB
MMUPageSize:        2048 kB
Rss:                   0 kB
Shared_Hugetlb:     2048 kB
Private_Hugetlb:    4096 kB
VmFlags: rd wr mr mw me de ht sd
7f2ea6000000-7f2ea6400000 rw-s 00000000 00:01 1037  /memfd:pool: odd name (deleted)
KernelPageSize:        4 kB
Rss:                4096 kB
ShmemPmdMapped:     2048 kB
VmFlags: rd wr sh
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
Rss:                   0 kB
"""


def test_smaps_is_parsed():
    anonymous, hugetlb, memfd, vsyscall = parse_smaps(SMAPS)
    assert anonymous == Vma(
        0x7F2EA1600000,
        0x7F2EA5600000,
        4096,
        40 * MIB,
        32 * MIB,
        0,
        frozenset({"rd", "wr", "mr", "mw", "me", "ac", "sd", "hg"}),
    )
    assert (hugetlb.page_size, hugetlb.resident, hugetlb.hugetlb) == (2 * MIB, 6 * MIB, 6 * MIB)
    assert (memfd.resident, memfd.thp, memfd.hugetlb) == (4 * MIB, 2 * MIB, 0)
    assert (vsyscall.resident, vsyscall.flags) == (0, frozenset())


def test_an_empty_smaps_has_no_mappings():
    assert parse_smaps("") == []


def test_ranges_are_rounded_to_pages_and_merged():
    assert merge([(3 * PAGE + 5, 3 * PAGE + 6), (10, 20), (PAGE, 2 * PAGE)]) == [
        (0, 2 * PAGE),
        (3 * PAGE, 4 * PAGE),
    ]


def test_ranges_are_cut_at_the_mappings():
    vmas = [Vma(start, end, PAGE, 0, 0, 0, frozenset()) for start, end in ((10, 20), (20, 30), (40, 50))]
    found = list(overlaps(vmas, [(0, 5), (15, 45), (49, 60)]))
    assert [(v.start, a, b) for v, a, b in found] == [(10, 15, 20), (20, 20, 30), (40, 40, 45), (40, 49, 50)]
