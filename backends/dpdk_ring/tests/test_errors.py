# SPDX-License-Identifier: BSD-3-Clause
"""What cannot be served is refused with one line that says what was found and what is possible."""

from __future__ import annotations

import errno

import pytest

pytestmark = pytest.mark.alone


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"cache": 4096}, "cache is 4096; DPDK here allows 512"),
        ({"objects": 100, "cache": 256}, "and the pool has 100: ask for a smaller cache or more objects"),
        ({"alignment": 4096}, "alignment is 4096; a mempool aligns to cache lines of 64 bytes"),
        ({"alignment": 48}, "alignment is 48"),
        ({"objects": 0}, "0 objects; a mempool holds 1 to"),
        ({"objects": 1 << 40}, "1099511627776 objects; a mempool holds 1 to"),
        ({"object_size": 0}, "object_size is 0"),
        ({"object_size": 1 << 40}, "object_size is 1099511627776"),
        ({"node": 4096}, "node is 4096; DPDK here knows nodes below"),
    ],
)
def test_impossible_pools(cell, spec, says):
    seen = cell("ring_mp_mc", "base", ["init", "create"], spec=spec, pool_bytes=1 << 20)
    assert seen["create"] == -errno.EINVAL
    assert says in seen["create_message"]
    assert "mbuf" in seen["create_message"]


@pytest.mark.parametrize(("pages", "size"), [("base", 4096), ("hugetlb", 1 << 16), ("hugetlb", 64)])
def test_bucket_refuses_what_its_blocks_cannot_hold(cell, pages, size):
    seen = cell("bucket", pages, ["init", "create"], spec={"object_size": size})
    assert seen["create"] == -errno.EINVAL
    assert "use another handler" in seen["create_message"]


def test_a_pool_larger_than_what_was_announced(cell):
    """With --no-huge the memory cannot grow after the start: DPDK's own refusal is passed on."""
    large = {"object_size": 1 << 20, "objects": 2000, "cache": 0}
    seen = cell("ring_mp_mc", "base", ["init", "create"], spec=large, pool_bytes=1 << 20)
    assert seen["create"] < 0
    assert "DPDK could not fill a 'ring_mp_mc' mempool" in seen["create_message"]


def test_pools_larger_than_memory(cell):
    seen = cell("ring_mp_mc", "base", ["init"], pool_bytes=1 << 50)
    assert seen["init"] == -errno.ENOMEM
    assert "ask for a smaller pool" in seen["init_message"]


def test_an_unknown_handler(cell):
    seen = cell("ring_mp_mc", "base", ["init"], options={"handler": "carousel"})
    assert seen["init"] == -errno.ENOENT
    assert "no mempool handler 'carousel'" in seen["init_message"]


def test_the_second_start_in_a_process(cell):
    seen = cell("ring_mp_mc", "base", ["init", "again"])
    assert seen["again"] == -errno.EALREADY
    assert "once per process" in seen["again_message"]
