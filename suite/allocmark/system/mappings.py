# SPDX-License-Identifier: BSD-3-Clause
"""What the kernel says about ranges of a process's memory: resident bytes and the page kinds under them.

There are two sources. ``/proc/PID/smaps`` counts whole mappings. The ``PAGEMAP_SCAN`` call on ``/proc/PID/pagemap``
(Linux 6.7; a process needs no privilege to ask about itself) tells for each page whether it is present and huge, so the
figures of a part of a mapping are exact too. Without it the figures are those of whole mappings.
"""

from __future__ import annotations

import array
import fcntl
import os
import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from allocmark.system.machine import THP, read_int

PAGE = os.sysconf("SC_PAGE_SIZE")

_PAGEMAP_SCAN = 0xC0606610  # _IOWR('f', 16, struct pm_scan_arg); see linux/fs.h
_SCAN_ARG = struct.Struct("12Q")
_PRESENT, _ZERO, _HUGE = 1 << 3, 1 << 5, 1 << 6
_WALK_END = 4  # its place in the structure
_BATCH = 512  # ranges per call

Range = tuple[int, int]  # first byte, byte after the last


@dataclass(frozen=True)
class Vma:
    """One mapping of a process. Bytes; ``flags`` are the two-letter words of smaps ("hg", "ht")."""

    start: int
    end: int
    page_size: int
    resident: int
    thp: int
    hugetlb: int
    flags: frozenset[str]


@dataclass(frozen=True)
class Backing:
    """What lies under some ranges, in bytes. ``resident`` = ``hugetlb`` + ``thp`` + pages of the base size.

    ``thp_possible`` are the resident bytes that transparent huge pages could back: those in stretches of the THP size
    that lie wholly inside a mapping. ``page_size`` is the size of the pages that back most of what is resident; None
    when nothing is. ``exact`` is False when the figures are of whole mappings, which hold other things too.
    """

    resident: int
    hugetlb: int
    thp: int
    thp_possible: int
    page_size: int | None
    advice: str
    mappings: int
    source: str
    exact: bool

    @property
    def base(self) -> int:
        return self.resident - self.hugetlb - self.thp


def thp_size() -> int:
    """Bytes of a transparent huge page; 2 MB where the kernel does not say."""
    return read_int(f"{THP}/hpage_pmd_size") or 2 << 20


def merge(ranges: Iterable[Range]) -> list[Range]:
    """The pages under the ranges, in order, without overlaps; neighbours become one."""
    merged: list[Range] = []
    for start, end in sorted((start // PAGE * PAGE, -(-end // PAGE) * PAGE) for start, end in ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged


def parse_smaps(text: str) -> list[Vma]:
    """The mappings in the text of ``/proc/PID/smaps``, in the order of their addresses."""
    vmas: list[Vma] = []
    start = end = 0
    fields: dict[str, str] = {}

    def size(key: str) -> int:
        return int(fields.get(key, "0 kB").split()[0]) * 1024

    def close() -> None:
        if not fields:
            return
        hugetlb = size("Private_Hugetlb") + size("Shared_Hugetlb")  # which Rss leaves out
        thp = size("AnonHugePages") + size("ShmemPmdMapped") + size("FilePmdMapped")
        flags = frozenset(fields.get("VmFlags", "").split())
        page = size("KernelPageSize") or PAGE
        vmas.append(Vma(start, end, page, size("Rss") + hugetlb, thp, hugetlb, flags))

    for line in text.splitlines():
        key, _, value = line.partition(":")
        if " " in key:  # "START-END rwxp OFFSET MAJOR:MINOR INODE PATH"
            close()
            fields = {}
            low, _, high = line.split(maxsplit=1)[0].partition("-")
            start, end = int(low, 16), int(high, 16)
        else:
            fields[key] = value.strip()
    close()
    return vmas


def read_vmas(pid: int) -> list[Vma]:
    """The mappings of a process. Raises OSError when they may not be read."""
    return parse_smaps(Path(f"/proc/{pid}/smaps").read_text(errors="replace"))


def overlaps(vmas: list[Vma], ranges: Iterable[Range]) -> Iterator[tuple[Vma, int, int]]:
    """Each (mapping, first byte, byte after the last) of the ranges that is mapped at all."""
    ends = [vma.end for vma in vmas]
    for start, end in ranges:
        for vma in vmas[bisect_right(ends, start) :]:
            if vma.start >= end:
                break
            yield vma, max(start, vma.start), min(end, vma.end)


def present(pagemap: int, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """Each present (first byte, byte after the last, mapped by huge pages), the shared zero page left out.

    ``pagemap`` is an open descriptor of ``/proc/PID/pagemap``; the ends are multiples of the page size.
    Raises OSError where the kernel has no such call.
    """
    found = array.array("Q", bytes(_BATCH * 24))
    while start < end:
        arg = bytearray(
            _SCAN_ARG.pack(
                *(_SCAN_ARG.size, 0, start, end, 0, found.buffer_info()[0], _BATCH, 0),
                *(_ZERO, _PRESENT | _ZERO, 0, _HUGE),
            )
        )
        for i in range(fcntl.ioctl(pagemap, _PAGEMAP_SCAN, arg)):
            first, last, categories = found[3 * i : 3 * i + 3]
            yield first, last, bool(categories & _HUGE)
        start = _SCAN_ARG.unpack(arg)[_WALK_END]


def _advice(vmas: Iterable[Vma]) -> str:
    """What ``madvise`` asked for: hugepage, nohugepage, none, or mixed."""
    words = {"hugepage" if "hg" in v.flags else "nohugepage" if "nh" in v.flags else "none" for v in vmas}
    return words.pop() if len(words) == 1 else "mixed"


def backing(pid: int, ranges: Iterable[Range], *, scan: bool = True) -> Backing | str:
    """What lies under the ranges, or why that is not known. ``scan=False`` uses smaps alone."""
    try:
        vmas = read_vmas(pid)
    except OSError as error:
        return f"/proc/{pid}/smaps: {error.strerror}"
    parts = list(overlaps(vmas, merge(ranges)))
    if not parts:
        return "no mapping of the process holds it"
    if scan:
        try:
            return _scanned(pid, parts)
        except OSError:  # before Linux 6.7, or forbidden by a sandbox
            pass
    return _whole_mappings(parts)


def _sum(
    parts: list[tuple[Vma, int, int]], pieces: Iterable[tuple[Vma, int, int, int]], source: str, exact: bool
) -> Backing:
    """Sum up pieces of (mapping, resident bytes, those in huge pages, those that THP could back)."""
    sizes: dict[int, int] = {}
    resident = hugetlb = thp = possible = 0
    huge_page = thp_size()
    for vma, n, huge, could in pieces:
        resident += n
        if "ht" in vma.flags:
            hugetlb += n
            kinds = {vma.page_size: n}
        else:
            thp += huge
            possible += could
            kinds = {huge_page: huge, vma.page_size: n - huge}
        for size, bytes_ in kinds.items():
            sizes[size] = sizes.get(size, 0) + bytes_
    held = {vma.start: vma for vma, _, _ in parts}
    page_size = max(sizes, key=lambda size: (sizes[size], size)) if resident else None
    return Backing(resident, hugetlb, thp, possible, page_size, _advice(held.values()), len(held), source, exact)


def _scanned(pid: int, parts: list[tuple[Vma, int, int]]) -> Backing:
    huge_page = thp_size()
    pieces = []
    pagemap = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for vma, start, end in parts:
            low, high = -(-vma.start // huge_page) * huge_page, vma.end // huge_page * huge_page
            for first, last, huge in present(pagemap, start, end):
                n = last - first
                pieces.append((vma, n, n if huge else 0, max(0, min(last, high) - max(first, low))))
    finally:
        os.close(pagemap)
    return _sum(parts, pieces, "pagemap", exact=True)


def _whole_mappings(parts: list[tuple[Vma, int, int]]) -> Backing:
    huge_page = thp_size()
    covered: dict[int, int] = {}
    vmas = {}
    for vma, start, end in parts:
        covered[vma.start] = covered.get(vma.start, 0) + end - start
        vmas[vma.start] = vma
    pieces = []
    for vma in vmas.values():
        could = max(0, vma.end // huge_page - -(-vma.start // huge_page)) * huge_page
        pieces.append((vma, vma.resident, vma.thp, min(vma.resident, could)))
    exact = all(covered[vma.start] == vma.end - vma.start for vma in vmas.values())
    return _sum(parts, pieces, "smaps", exact)
