# SPDX-License-Identifier: BSD-3-Clause
"""How much is done to find the smallest pools of the bundled workloads: of trials, and of memory."""

from __future__ import annotations

import pytest

from allocmark.backend import Backend
from allocmark.engine.session import CallTally, CountedRun, Need
from allocmark.errors import RefusedError
from allocmark.sizing import counter
from allocmark.sizing.sizing import CACHES, _roomy
from allocmark.workload.language.expand import Template
from allocmark.workload.language.find import BUNDLED
from allocmark.workload.tape.compile import compile_workload

FILES = sorted(BUNDLED.rglob("*.yaml"))
OUT = 64  #: objects of each pool that are out at once
LEAST = 768  #: objects of a pool that DPDK makes for the largest caches


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def roomy(request):
    """The program of a file's first case as it is counted."""
    case = Template.load(request.param).cases(short=True)[0]
    return _roomy(compile_workload(case.workload, 1, str(request.param)), max(CACHES))


def test_pools_with_room_to_spare_fit_a_small_machine(roomy):
    assert roomy.pool_bytes <= 1 << 30


def test_trials_are_few_however_many_pools_there_are(roomy, monkeypatch):
    """With a backend that makes no small pool. What one was refused is tried early for the others: each alone
    would take 20 trials."""
    tried = []

    def run(_, program, skip, events=0):
        sizes = [pool.objects for pool in program.pools]
        tried.append(sizes)
        refused = [place for place, pool in enumerate(roomy.pools) if sizes[place] < min(LEAST, pool.objects)]
        if refused:
            raise RefusedError("too small", refused[0])
        tallies = [[(CallTally(0, 0, 0, 0), CallTally(0, 0, 0, 0))] * len(sizes)] * len(program.actors)
        return CountedRun(None, False, False, [Need(OUT, OUT)] * len(sizes), tallies, []), [{}] * len(sizes)

    monkeypatch.setattr(counter._Counter, "_run", run)
    found = counter.count_cell(Backend("b", "v", "", ""), roomy, [(0, 0)] * len(roomy.actors))
    assert [pool["smallest"] for pool in found["pools"]] == [min(LEAST, pool.objects) for pool in roomy.pools]
    assert len(tried) <= 40 + 9 * len(roomy.pools)
