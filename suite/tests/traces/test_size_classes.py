# SPDX-License-Identifier: BSD-3-Clause
"""A program that calls malloc, on pools: one for each size class, large enough, and what it keeps is kept."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from allocmark.traces.trace_file import Trace, TracePool

Tracer = Callable[[str], Path]
Runner = Callable[..., "subprocess.CompletedProcess[str]"]

_POOLS = ["turbomem:base", "dpdk_ring:ring_mp_mc-base", "boost:pool", "pmr:synchronized", "tbb:fixed_pool"]
_KNOWN = """
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
int main(void) {
    void *held[100];
    for (int turn = 0; turn < 50; turn++) {
        for (int i = 0; i < 100; i++) held[i] = malloc(i % 2 ? 100 : 17);
        char *grown = malloc(10);
        memset(grown, turn, 10);
        for (int size = 10; size < 20000; size *= 3) grown = realloc(grown, size);
        for (int i = 0; i < 10; i++) if (grown[i] != turn) abort();
        char *zeros = calloc(10, 50);
        for (int i = 0; i < 500; i++) if (zeros[i]) abort();
        memset(zeros, 1, 500);
        free(zeros);
        free(grown);
        for (int i = 0; i < 100; i++) free(held[i]);
    }
    return 0;
}
"""
_ALIGNED = """
#include <stdlib.h>
int main(void) {
    for (int i = 0; i < 20; i++) free(aligned_alloc(4096, 8192));
    return 0;
}
"""


def _replayed(command: Runner, folder: Path, trace: Path, *backends: str) -> dict[str, dict[str, Any]]:
    words = [word for backend in backends for word in ("-b", backend)]
    done = command("replay", trace, *words, "--rounds", "2", "-o", "run", "--json", "run.json")
    assert "Traceback" not in done.stderr
    cells = json.loads((folder / "run.json").read_text())["cells"]
    return {f"{cell['backend']}:{cell['variant']}": cell for cell in cells}


def test_classes_are_those_that_the_program_asks_for(trace_of: Tracer) -> None:
    with Trace(trace_of(_KNOWN)) as trace:
        trace.check()
        pools = {pool.name: pool for pool in trace.pools()}
    assert {"c16", "c32", "c128", "c512", "c8192"} <= pools.keys()
    assert all(pool.object_size % 16 == 0 for pool in pools.values())
    for name in ("c32", "c128"):
        assert pools[name].cache == pytest.approx(50, abs=10)
        # A cache may hold twice what it says.
        assert pools[name].objects == pytest.approx(50 + 2 * pools[name].cache, abs=10)
    assert pools["c8192"].objects < 10


def test_a_program_is_replayed_on_pools(allocmark_command: Runner, trace_of: Tracer, tmp_path: Path) -> None:
    trace = trace_of(_KNOWN)
    with Trace(trace) as found:
        live = [point.live_bytes for point in found.points]
    cells = _replayed(allocmark_command, tmp_path, trace, *_POOLS, "glibc")
    ran = {label: cell for label, cell in cells.items() if cell["status"] != "unavailable"}
    assert len(ran) >= 3
    for label, cell in ran.items():
        assert cell["status"] == "ok", cell
        if label.startswith("null"):
            continue
        assert cell["replayed"]["live"] == live
        if label in _POOLS and label.startswith(("turbomem", "dpdk")):
            # A pool keeps its memory.
            assert cell["replayed"]["drained"] >= max(live)


def test_many_threads_are_replayed_on_pools(allocmark_command: Runner, trace: Trace, tmp_path: Path) -> None:
    cells = _replayed(allocmark_command, tmp_path, trace.path, *_POOLS[:2], "dpdk_ring:ring_sp_sc-base")
    for label in _POOLS[:2]:
        assert cells[label]["status"] in ("ok", "unavailable"), cells[label]
    assert cells["dpdk_ring:ring_sp_sc-base"]["status"] == "unavailable"


def test_alignment_has_a_class_of_its_own_and_who_cannot_says_so(
    allocmark_command: Runner, trace_of: Tracer, tmp_path: Path
) -> None:
    path = trace_of(_ALIGNED)
    with Trace(path) as trace:
        trace.check()
        assert TracePool("c8192_by_4096", 8192, 3, 1, 1, 12) in trace.pools()
    cells = _replayed(allocmark_command, tmp_path, path, "turbomem:base", "dpdk_ring:ring_mp_mc-base")
    assert cells["turbomem:base"]["status"] == "ok"
    dpdk = cells["dpdk_ring:ring_mp_mc-base"]
    assert dpdk["status"] != "ok"
    assert dpdk["status"] == "unavailable" or "aligns to cache lines" in str(dpdk)
