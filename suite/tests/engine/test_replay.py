# SPDX-License-Identifier: BSD-3-Clause
"""An engine over recorded addresses: on which memory they lie, and what it does not disturb."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from ctypes import addressof, c_char
from pathlib import Path

import pytest

from allocmark.engine import null_table
from allocmark.engine.replay import Replay
from allocmark.engine.session import EVENT, Engine
from allocmark.errors import RefusedError
from allocmark.system.mappings import Vma, read_vmas
from allocmark.workload.language.expand import Template
from allocmark.workload.tape.compile import compile_workload
from allocmark.workload.tape.program import Program

pytestmark = pytest.mark.alone

BLOCK = 2 << 20
HUGETLB = 0x40000
LONER = "pools: {p: {object_size: 256, objects: 4000}}\nactors: {w: [{get: {from: p, n: 8}}, {put: all}]}\n"


def compiled(text: str) -> Program:
    (case,) = Template.parse(f"format: 1\nname: w\nsummary: s\nsource: s\n{text}", Path("w.yaml")).cases()
    return compile_workload(case.workload, 1)


def free(program: Program) -> list[tuple[int, int]]:
    return [(-1, -1)] * len(program.actors)


@pytest.fixture
def floor() -> Iterator[Callable[[Program], Engine]]:
    """An engine on the floor for a program, which is drained at the end."""
    engines = []

    def start(program: Program) -> Engine:
        engines.append(Engine(null_table(), {}, program, free(program)))
        engines[-1].settle()
        return engines[-1]

    yield start
    for engine in engines:
        engine.drain()
        engine.close()


def replayed(addresses: list[int], regions: list[tuple[int, int]] = []) -> Replay:  # noqa: B006
    program = compiled(LONER)
    return Replay(b"".join(EVENT.pack(each, 0, 0, 0) for each in addresses), [regions], program, free(program))


def under(replay: Replay) -> Vma:
    """The mapping of the mirror, which is one block."""
    ((start, length),) = replay.regions(0)
    (vma,) = [each for each in read_vmas(os.getpid()) if each.start <= start < each.end]
    assert start % BLOCK == 0
    assert length == BLOCK
    return vma


def memory(advice: int | None = None, flags: int = 0) -> tuple[mmap.mmap, int]:
    """A mapping, and the address of a populated block in it."""
    mapped = mmap.mmap(-1, 4 * BLOCK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | flags)
    if advice is not None:
        mapped.madvise(advice)
    address = addressof(c_char.from_buffer(mapped))
    start = -address % BLOCK
    mapped[start : start + BLOCK] = b"\1" * BLOCK
    return mapped, address + start


def test_objects_come_from_where_they_came_from(floor):
    program = compiled(
        "pools: {a: {object_size: 100, objects: 400}, b: {object_size: 3000, objects: 400}}\n"
        "actors: {w: [{get: {from: a, n: 40}}, {get: {from: b, n: 30}}, {put: all}]}\n"
    )
    engine = floor(program)
    replay = engine.replay(1000, 2000)
    replay.settle()
    assert replay.distinct == 40 + 30
    for pool, n in enumerate((40, 30)):
        first, again = (
            [address % BLOCK for address, _, of, put in each.trace(10, 0, 10_000) if of == pool and not put]
            for each in (engine, replay)
        )
        assert len(set(first)) == n
        assert again == first
    replay.close()


def test_base_pages_stay_base_pages():
    mapped, start = memory(mmap.MADV_NOHUGEPAGE)
    replay = replayed([start + 4096 * i for i in range(0, 64, 2)], [(start, BLOCK)])
    assert (replay.pages, replay.note, replay.distinct) == ("base", "", 32)
    vma = under(replay)
    assert "nh" in vma.flags
    assert vma.resident == 32 * 4096  # of what holds no object nothing is there
    replay.close()
    del mapped


@pytest.mark.parametrize("reports_regions", [True, False])
def test_transparent_huge_pages_stay_huge(thp, reports_regions):
    mapped, start = memory(mmap.MADV_HUGEPAGE)
    replay = replayed([start + 256 * i for i in range(8)], [(start, BLOCK)] if reports_regions else [])
    assert (replay.pages, replay.note, replay.distinct) == ("thp", "", 8)
    assert under(replay).thp == BLOCK
    replay.close()
    del mapped


def test_hugetlb_pages_stay_hugetlb(hugetlb):
    mapped, start = memory(flags=HUGETLB)
    replay = replayed([start + 256 * i for i in range(8)], [(start, BLOCK)])
    assert (replay.pages, replay.note) == ("hugetlb", "")
    assert "ht" in under(replay).flags
    replay.close()
    del mapped


def in_a_process(script: str) -> str:
    """What a script prints that begins with the names of this file."""
    head = f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\nfrom test_replay import *\n"
    done = subprocess.run([sys.executable, "-c", head + script], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_other_pages_are_said(thp):
    said = in_a_process(
        "import ctypes\n"
        "mapped, start = memory(mmap.MADV_HUGEPAGE)\n"
        "assert ctypes.CDLL(None).prctl(41, 1, 0, 0, 0) == 0  # no more transparent huge pages for this process\n"
        "replay = replayed([start], [(start, BLOCK)])\n"
        "print(replay.pages, replay.note, sep='; ')\n"
    )
    assert said == "base; the objects were laid out again on base pages, and the backend's lie on thp\n"


@pytest.mark.skipif(os.getuid() != 0, reason="takes rights away, which it must have")
def test_why_there_are_no_hugetlb_pages_is_said(hugetlb, thp):
    """A user may not have more than those that the backend has."""
    if int(Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").read_text()):
        pytest.skip("there are free huge pages of 2 MB")
    said = in_a_process(
        "mapped = mmap.mmap(-1, 8 * BLOCK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | HUGETLB)\n"
        "mapped[:] = bytes(len(mapped))\n"
        "os.setuid(65534)\n"
        "start = addressof(c_char.from_buffer(mapped))\n"
        "print(replayed([start], [(start, len(mapped))]).note)\n"
    )
    assert said.startswith("the objects were laid out again on thp pages, and the backend's lie on hugetlb: ")
    assert "huge pages of 2 MB are needed and 0 are free" in said


def test_threads_that_do_not_sample_sleep(floor):
    engine = floor(compiled(LONER))
    replay = engine.replay(10_000, 1000)
    replay.settle()
    for each in (replay, engine):
        used, begun = time.process_time(), time.monotonic()
        each.sample(2_000_000)
        assert time.process_time() - used < 1.5 * (time.monotonic() - begun)
    replay.close()


def test_all_is_given_back(floor):
    engine = floor(compiled(LONER))
    before = len(os.listdir("/proc/self/task"))
    replay = engine.replay(1000, 1000)
    ((start, _),) = replay.regions(0)
    assert len(os.listdir("/proc/self/task")) == before + 1
    del replay  # as when the process of a cell drops its passes
    deadline = time.monotonic() + 10
    while len(os.listdir("/proc/self/task")) > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(os.listdir("/proc/self/task")) == before
    assert not [vma for vma in read_vmas(os.getpid()) if vma.start <= start < vma.end and "nh" in vma.flags]
    assert engine.sample(10).objects == 80


def test_what_is_got_only_before_the_samples_cannot_be_replayed(floor):
    engine = floor(
        compiled(
            "pools: {a: {object_size: 64, objects: 99}, b: {object_size: 64, objects: 99}}\nactors:\n"
            "  w: [{repeat: {until_held: 8, steps: [{get: {from: a, n: 8}}]}}, {get: {from: b, n: 4}},"
            " {put: {which: newest, n: 4}}]\n"
        )
    )
    with pytest.raises(RefusedError, match=r"w\[0\] gets from pool 'a' only before the samples"):
        engine.replay(100, 100)
