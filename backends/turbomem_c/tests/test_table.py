# SPDX-License-Identifier: BSD-3-Clause
"""The allocmark table, called by address as the engine calls it."""

from __future__ import annotations

import errno
import itertools
import re
from pathlib import Path

import pytest
from allocmark_turbomem import plugin

import allocmark


def test_declares_the_abi_it_was_built_against(table, ffi):
    header = (Path(allocmark.get_include()) / "allocmark" / "backend.h").read_text()
    assert table.native.abi == int(re.search(r"ALLOCMARK_ABI_VERSION (\d+)u", header)[1])
    assert table.native.size == ffi.sizeof("allocmark_backend")
    for name, _ in ffi.typeof("allocmark_backend").fields[2:]:
        # It calls no library, and objects of a pool have one size.
        lacks = name in ("calls", "get_sized", "resize", "any_size", "put_all")
        assert (getattr(table.native, name) == ffi.NULL) == lacks, name


def test_trips_are_the_calls_that_the_cache_does_not_serve(table, ffi):
    """Two magazines of 64: a get that finds both empty takes a full one, a put that finds both full sends one away."""
    assert table.init(pages="base") == 0
    pool = table.pool(cache=128)
    me, you = table.enter(pool, 0), table.enter(pool, 1)
    told = []
    assert table.native.trips(pool) == 0
    bulks = [ffi.new("void *[32]") for _ in range(6)]
    for bulk in bulks:
        assert table.native.get_bulk(pool, me, bulk, 32) == 0
        told.append((table.native.trips(pool), table.native.cached(pool, me)))
    for bulk in bulks:
        table.native.put_bulk(pool, you, bulk, 32)
        told.append((table.native.trips(pool), table.native.cached(pool, you)))
    gets = [(1, 32), (1, 0), (2, 32), (2, 0), (3, 32), (3, 0)]
    puts = [(3, 32), (3, 64), (3, 96), (3, 128), (4, 96), (4, 128)]
    assert told == gets + puts
    for local in (me, you):
        table.native.thread_leave(pool, local)
    table.native.pool_destroy(pool)


@pytest.mark.parametrize("cache", [0, 1, 256, 100_000])
@pytest.mark.parametrize("size", [1, 64, 2176])
def test_every_object_comes_once_inside_the_region_and_apart(table, ffi, cache, size):
    assert table.init(pages="base") == 0
    pool = table.pool(object_size=size, cache=cache)
    me, you = table.enter(pool, 0), table.enter(pool, 1)
    objects = ffi.new("void *[4000]")
    assert table.native.get_bulk(pool, me, objects, 4000) == 0
    assert table.native.available(pool) == 0
    for local in (me, you):
        assert table.native.get_bulk(pool, local, ffi.new("void *[1]"), 1) == -errno.ENOENT

    region = ffi.new("allocmark_region[2]")
    assert table.native.regions(pool, region, 2) == 1
    assert table.native.regions(pool, ffi.NULL, 0) == 1
    addresses = sorted(int(ffi.cast("uintptr_t", o)) for o in objects)
    assert addresses[0] >= region[0].address
    assert addresses[-1] + size <= region[0].address + region[0].length
    assert all(b - a >= size for a, b in itertools.pairwise(addresses))
    assert all(a % 64 == 0 for a in addresses)

    table.native.put_bulk(pool, you, objects, 4000)  # by another thread than the one that got them
    assert table.native.available(pool) == 4000
    table.native.thread_leave(pool, me)
    table.native.thread_leave(pool, you)
    assert table.native.available(pool) == 4000
    table.native.pool_destroy(pool)


@pytest.mark.parametrize(
    ("objects", "working_set", "threads", "cache", "effective"),
    [
        (4000, 1000, 2, 256, 256),  # as asked for
        (4000, 3900, 2, 256, 2 * 50),  # what the other thread may keep is spare
        (4000, 3900, 5, 256, 2 * 12),
        (4000, 4000, 2, 256, 0),  # nothing is spare: no caches
        (4000, 4000, 1, 256, 256),  # nobody to keep it from
        (4000, 1000, 2, 0, 0),
        (10, 1, 1, 256, 2 * 10),
    ],
)
def test_caches_never_keep_a_workload_from_its_working_set(table, ffi, objects, working_set, threads, cache, effective):
    table.init(pages="base")
    pool = table.pool(objects=objects, working_set=working_set, max_threads=threads, cache=cache)
    facts = table.facts(pool)
    assert int(facts["cache"]) == effective

    # The others fill their caches as far as they go; one thread still gets the working set.
    locals_ = [table.enter(pool, slot) for slot in range(threads)]
    held = ffi.new("void *[]", objects)
    for local in locals_[1:]:
        n = min(objects, 2 * effective + 1)
        assert table.native.get_bulk(pool, local, held, n) == 0
        table.native.put_bulk(pool, local, held, n)
    assert table.native.get_bulk(pool, locals_[0], held, working_set) == 0
    table.native.put_bulk(pool, locals_[0], held, working_set)
    for local in locals_:
        table.native.thread_leave(pool, local)
    table.native.pool_destroy(pool)


def test_facts_are_read_back(table, ffi):
    table.init(pages="base")
    (version,) = {b.version for b in plugin.allocmark_backends()}
    assert table.facts(ffi.NULL) == {"version": version, "pages": "base"}
    pool = table.pool()
    local = table.enter(pool, 0)
    before = table.facts(pool)
    assert before["handler"] == "magazines"
    assert before["pages"] == "base"
    assert before["huge_bytes"] == "0"
    assert int(before["object_stride"]) == 2176
    assert int(before["region_bytes"]) >= 4000 * 2176
    objects = ffi.new("void *[512]")
    table.native.get_bulk(pool, local, objects, 512)
    table.native.put_bulk(pool, local, objects, 512)
    assert int(table.facts(pool)["depot_exchanges"]) >= int(before["depot_exchanges"]) + 2
    table.native.thread_leave(pool, local)
    table.native.pool_destroy(pool)


@pytest.mark.parametrize("objects", [1, 4000, 65535])
def test_huge_pages_cover_every_object(table, ffi, objects):
    if unavailable := plugin.thp_unavailable():
        pytest.skip(unavailable.reason)
    table.init(pages="thp")
    pool = table.pool(objects=objects, working_set=0)
    (region,) = regions = ffi.new("allocmark_region[1]")
    table.native.regions(pool, regions, 1)
    assert region.address % 2**21 == region.length % 2**21 == 0

    # The kernel's own account, found by address; the area is not merged with another.
    smaps = Path("/proc/self/smaps").read_text()
    span = f"{region.address:x}-{region.address + region.length:x}"
    area = re.search(rf"^{span} .*?^VmFlags", smaps, re.M | re.S)
    assert area, "the region is not one area of its own"
    huge = int(re.search(r"^AnonHugePages: *(\d+) kB", area[0], re.M)[1]) * 1024
    facts = table.facts(pool)
    assert facts["pages"] == "thp"
    assert int(facts["huge_bytes"]) == huge
    assert huge == region.length == int(facts["region_bytes"])
    table.native.pool_destroy(pool)


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"object_size": 0}, errno.EINVAL, "object_size is 0"),
        ({"objects": 0}, errno.EINVAL, "objects is 0"),
        ({"object_size": 2**63}, errno.EINVAL, "object_size"),
        ({"objects": 2**63}, errno.EINVAL, "objects"),
        ({"objects": 2**30}, errno.ENOMEM, "available"),
        ({"alignment": 48}, errno.EINVAL, "alignment is 48"),
        ({"max_threads": 0}, errno.EINVAL, "max_threads is 0"),
        ({"node": 4711}, errno.ENODEV, "NUMA node 4711"),
        ({"size": 8}, errno.EINVAL, "rebuild"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(table, ffi, change, code, says):
    table.init(pages="base")
    out = ffi.new("void **")
    assert table.native.pool_create(table.spec(**change), out, table.error) == -code
    assert says in table.message()
    assert "\n" not in table.message()
    assert out[0] == ffi.NULL


@pytest.mark.alone
def test_hugetlb_pages_are_borrowed_and_given_back(table, ffi):
    """The limit is as it was found when the pool stands; the pages go when the pool does."""
    if unavailable := plugin.hugetlb_unavailable():
        pytest.skip(unavailable.reason)
    folder = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")

    def limit() -> str:
        return (folder / "nr_overcommit_hugepages").read_text()

    before = limit()
    assert table.init(pages="hugetlb_2m") == 0
    pool = table.pool(objects=4000)
    assert limit() == before
    facts = table.facts(pool)
    assert facts["pages"] == "hugetlb_2m"
    assert facts["huge_bytes"] == facts["region_bytes"]
    table.native.pool_destroy(pool)


def test_the_checked_table_keeps_its_word(table, ffi):
    table = type(table)(ffi, "checked")
    assert table.init(pages="base") == 0
    pool = table.pool(object_size=64)
    facts = table.facts(pool)
    assert facts["handler"] == "magazines, checked"
    assert int(facts["object_stride"]) == 128  # eight bytes behind and eight before the next
    me = table.enter(pool, 0)
    objects = ffi.new("void *[4000]")
    assert table.native.get_bulk(pool, me, objects, 4000) == 0
    assert table.native.get_bulk(pool, me, ffi.new("void *[1]"), 1) == -errno.ENOENT
    table.native.put_bulk(pool, me, objects, 4000)
    assert table.native.available(pool) == 4000
    table.native.thread_leave(pool, me)
    table.native.pool_destroy(pool)
    table.native.fini()


def test_unknown_options_and_slots_are_refused(table, ffi):
    assert table.init(pages="huge") == -errno.EINVAL
    assert "pages=huge is not known" in table.message()
    assert table.init(pagez="thp") == -errno.EINVAL
    table.init(pages="base")
    pool = table.pool()
    local = table.enter(pool, 1)
    for slot, code in ((1, errno.EBUSY), (2, errno.EINVAL)):
        thread = ffi.new("allocmark_thread *", (ffi.sizeof("allocmark_thread"), slot, -1, -1))
        assert table.native.thread_enter(pool, thread, ffi.new("void **"), table.error) == -code
        assert f"slot {slot}" in table.message()
    table.native.thread_leave(pool, local)
    table.native.pool_destroy(pool)
