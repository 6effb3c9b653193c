# SPDX-License-Identifier: BSD-3-Clause
"""The C table: what the engine relies on."""

import errno
import itertools
import resource
from pathlib import Path

import pytest


@pytest.mark.parametrize("size", [1, 64, 2176, 9000, 300_000])
@pytest.mark.parametrize("alignment", [0, 1, 16, 64, 4096])
def test_objects_are_aligned_and_apart(table, size, alignment):
    pool = table.create(size, alignment)
    local = table.enter(pool)
    objects = table.get(pool, local, 33)
    starts = sorted(table.addresses(objects))
    assert all(start % max(alignment, 16) == 0 for start in starts)
    assert all(after - before >= size for before, after in itertools.pairwise(starts))
    for i, each in enumerate(objects):
        table.ffi.memmove(each, bytes([i]) * size, size)
    assert [bytes(table.ffi.buffer(each, size)) for each in objects] == [bytes([i]) * size for i in range(33)]
    table.put(pool, local, objects)
    table.c.thread_leave(pool, local)
    table.c.pool_destroy(pool)


def test_what_was_put_is_used_again(table):
    pool = table.create(1000)
    local = table.enter(pool)
    seen = set()
    for _ in range(1000):
        objects = table.get(pool, local, 1)
        seen.update(table.addresses(objects))
        table.put(pool, local, objects)
    assert len(seen) < 10  # malloc and free were really called; Python may have taken one in between
    table.c.pool_destroy(pool)


@pytest.fixture
def one_gib_left():
    """The process may map one GiB more; larger objects than 32 MiB are always mapped."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 30), limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.usefixtures("one_gib_left")
@pytest.mark.parametrize("alignment", [0, 4096])
def test_a_bulk_is_all_or_nothing(table, alignment):
    pool = table.create(64 << 20, alignment)
    local = table.enter(pool)
    before, in_use = table.facts()["mapped_bytes"], int(table.facts()["in_use_bytes"])
    for _ in range(3):
        assert table.get(pool, local, 20) == -errno.ENOMEM
        assert table.facts()["mapped_bytes"] == before
    objects = table.get(pool, local, 10)
    assert int(table.facts()["mapped_bytes"]) >= int(before) + 10 * (64 << 20)
    assert int(table.facts()["in_use_bytes"]) >= in_use + 10 * (64 << 20)
    table.put(pool, local, objects)
    table.c.pool_destroy(pool)


@pytest.mark.parametrize(
    ("size", "alignment", "message"),
    [
        (0, 0, "object_size is 0"),
        (1 << 63, 0, "object_size is 9223372036854775808"),
        (64, 48, "alignment is 48"),
    ],
)
def test_a_pool_that_cannot_be_is_refused(table, size, alignment, message):
    with pytest.raises(OSError, match=f"pool 'mbuf': {message}; .*") as caught:
        table.create(size, alignment)
    assert caught.value.errno == errno.EINVAL


def test_facts_of_a_pool(table):
    plain, aligned = table.create(1001), table.create(1001, 64)
    assert table.facts(plain)["function"] == "malloc"
    assert table.facts(aligned)["function"] == "aligned_alloc"
    assert int(table.facts(plain)["usable_bytes"]) == 1016  # a chunk of 1024 less its header of 8
    for pool in (plain, aligned):
        table.c.pool_destroy(pool)
