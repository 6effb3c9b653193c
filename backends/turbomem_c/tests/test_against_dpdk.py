# SPDX-License-Identifier: BSD-3-Clause
"""The comparison with DPDK: what is certain of a cell, when a target holds, and where there is nothing to measure."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import against_dpdk
import dpdk_cells
import dpdk_parts
import pytest

from allocmark import Backend, Pages, stats
from allocmark.errors import UsageError
from allocmark.plugins import BUILTIN, Host, Registered
from allocmark.results.store import Run
from allocmark.results.summary import CaseSummary, summarise
from allocmark.stats import Estimate
from fixtures.simulated import simulate  # noqa: F401

Simulate = Callable[..., Run]
RNG = random.Random(4)


def around(cost: float, noise: float = 0.05, rounds: int = 16) -> dict[int, float]:
    return {number: cost + RNG.gauss(0, noise) for number in range(rounds)}


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (around(1), around(2), "holds"),
        (around(1), around(1), "falls short"),
        (around(1, 0.3), around(1.28, 0.3), "cannot tell"),
        (around(-0.2), around(1), "holds"),  # no dearer than the floor
        (around(-0.2), around(-0.2), "falls short"),  # neither is
        (around(0, 0.3), around(0, 0.3), "cannot tell"),
        (around(1, 0.05, 7), around(2, 0.05, 7), "cannot tell"),  # too few rounds
        (around(1), {}, "cannot tell"),
    ],
)
def test_whether_a_cell_holds_its_target(ours, theirs, said):
    ratio = stats.final_look([*dpdk_cells.log_ratios(ours, theirs).values()], 1)
    assert dpdk_cells.holds(dpdk_cells.times_cheaper(ratio), 1.28) == said


def test_a_target_inside_the_interval_cannot_be_told():
    assert dpdk_cells.holds(Estimate(2.5, 2.1, 3.0, 20, True), 2.0) == "holds"
    assert dpdk_cells.holds(Estimate(1.5, 1.1, 1.9, 20, True), 2.0) == "falls short"
    assert dpdk_cells.holds(Estimate(2.5, 1.9, 3.0, 20, True), 2.0) == "cannot tell"
    assert dpdk_cells.holds(Estimate(2.5, 2.1, 3.0, 5, False), 2.0) == "cannot tell"
    assert dpdk_cells.holds(None, 2.0) == "cannot tell"


def test_a_ratio_of_costs_is_turned_round():
    times = dpdk_cells.times_cheaper(Estimate(0.5, 0.4, 0.8, 20, True))
    assert times == Estimate(2.0, 1.25, 2.5, 20, True)
    assert dpdk_cells.times_cheaper(Estimate(0.5, 0.4, 0.8, 5, False)) is None


@pytest.fixture
def simulated(simulate: Simulate, monkeypatch: pytest.MonkeyPatch) -> Simulate:  # noqa: F811
    """Runs against the best of two handlers; TurboMem is certainly faster in six of the seven cases."""
    for module in (dpdk_cells, against_dpdk):
        monkeypatch.setattr(module, "OURS", "turbomem:default")
    return lambda **fields: simulate(baseline="dpdk_ring:*", **fields)


def test_each_cell_is_compared_with_the_best_handler_there(simulated):
    rows = dpdk_cells.rows_of([simulated(scale={"dpdk_ring:lf_stack": 0.9})])
    assert [row.verdict("gross") for row in rows] == ["faster"] * 6 + ["same"]
    assert [row.verdict("net") for row in rows][:6] == ["faster"] * 6
    assert [row.rival.cell.variant for row in rows[1:3]] == ["lf_stack", "ring_mp_mc"]
    assert rows[1].times("gross").value == pytest.approx(0.9 * 0.391 / 0.252, rel=0.02)
    gross, _, *parts = against_dpdk.counts(rows)
    assert gross == "gross: 6 faster, 1 same"
    assert parts == ["own work: 7 not measured", "placement: 7 not measured"]


def test_slow_processes_of_ours_leave_no_certainty(simulated):
    rows = dpdk_cells.rows_of([simulated(slow={"turbomem:default": 30})])
    assert [row.verdict("gross") for row in rows].count("faster") < 6


def test_a_case_in_which_no_handler_gave_figures(simulated):
    failed = {("burst", f"dpdk_ring:{name}"): ("failed", "killed", None) for name in ("ring_mp_mc", "lf_stack")}
    row = dpdk_cells.rows_of([simulated(status=failed)])[0]
    assert (row.rival, row.times("gross"), row.verdict("gross")) == (None, None, "cannot tell")


def replayed(case: CaseSummary, shares: dict[str, float]) -> CaseSummary:
    """The case, as if so much of a cell's net were own work: what the placement pass records."""
    floor = next(cell.values for cell in case.cells if cell.cell.floor)
    cells = []
    for cell in case.cells:
        share = shares.get(cell.cell.label)
        if share is not None:
            rounds = {r: ns - share * (ns - floor[r]) for r, ns in cell.values.items()}
            passes = {"placement": SimpleNamespace(rounds=rounds)}
            cell = replace(cell, cell=replace(cell.cell, passes=passes))
        cells.append(cell)
    return replace(case, cells=tuple(cells))


def test_net_is_split_into_own_work_and_placement(simulated):
    """In the first case a net of 0.9 is compared with one of 4.4."""
    case = summarise(simulated())[0]
    row = dpdk_cells._row(replayed(case, {"turbomem:default": 0.2, "dpdk_ring:ring_mp_mc": 0.96}), 7)
    assert (row.verdict("own work"), row.verdict("placement")) == ("faster", "slower")
    assert row.times("own work").value == pytest.approx(0.96 * 4.4 / (0.2 * 0.9), rel=0.1)
    assert row.times("placement").value == pytest.approx(0.04 * 4.4 / (0.8 * 0.9), rel=0.1)


def test_the_summary_says_where_and_when(simulated):
    run = simulated()
    text = "\n".join(against_dpdk.summary(dpdk_cells.rows_of([run]), run))
    assert "AMD EPYC 9B45" in text
    assert "2025-01-31" in text
    assert "| burst " in text


def test_percentiles_are_compared_round_by_round(simulated):
    """One get in 500 takes a hundred times its cost; 8 rounds have timed any."""
    run = simulated(calls=20_000)
    ours, theirs = (against_dpdk.slowest_gets(run, 0, label) for label in ("turbomem:default", "dpdk_ring:ring_mp_mc"))
    assert (sorted(ours), set(ours.values()), set(theirs.values())) == ([*range(8)], {151.0}, {501.0})
    (text,) = against_dpdk.tail(run)
    assert re.search(r"ring_mp_mc .* 3\.32 ", text)
    assert against_dpdk.slowest_gets(simulated(calls=5_000), 0, "turbomem:default") == {}  # too few for the percentile


def test_every_part_is_a_workload_of_its_name():
    for name, part in dpdk_parts.PARTS.items():
        assert part.request.workloads == [name]


def dpdk(variant: str, version: str, handler: str = "ring_mp_mc", **options: str) -> Registered:
    options |= {"handler": handler}
    pages = Pages.BASE if "base" in variant else Pages.HUGETLB
    return Registered(Backend("dpdk_ring", variant, "", version, table=8, pages=pages, options=options), BUILTIN)


RELEASES = Host(
    [
        Registered(Backend("turbomem", "thp", "", "1", table=8), BUILTIN),
        dpdk("ring_mp_mc-hugetlb", "22.11.11"),
        dpdk("ring_mp_mc-base", "22.11.11"),
        dpdk("pktmbuf-hugetlb", "22.11.11", objects="mbuf"),
        dpdk("turbomem-hugetlb", "22.11.11", "turbomem"),
        dpdk("ring_mp_mc-hugetlb-v26_07_0", "26.07.0"),
        dpdk("stack-hugetlb-v26_07_0", "26.07.0", "stack"),
        dpdk("stack-base-v26_07_0", "26.07.0", "stack"),
    ]
)


@pytest.mark.parametrize(
    ("release", "rivals"),
    [
        ("", ["ring_mp_mc-hugetlb"]),
        ("22.11.11", ["ring_mp_mc-hugetlb"]),
        ("26.07.0", ["ring_mp_mc-hugetlb-v26_07_0", "stack-hugetlb-v26_07_0"]),
    ],
)
def test_rivals_are_the_handlers_of_one_release(release, rivals):
    assert [each.variant for each in dpdk_parts.handlers(RELEASES, release)] == rivals


def test_a_release_that_is_not_here_is_refused_with_those_that_are():
    with pytest.raises(UsageError, match=r"no DPDK 19\.11 is here, but 22\.11\.11, 26\.07\.0: set ALLOCMARK_DPDK"):
        dpdk_parts.handlers(RELEASES, "19.11")


def test_nothing_is_measured_without_a_handler(tmp_path):
    """As where libdpdk is not installed."""
    pytest.importorskip("allocmark_dpdk.plugin", reason="the backend dpdk_ring is not installed")
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['allocmark_dpdk._native'] = None\n")
    done = subprocess.run(
        [sys.executable, against_dpdk.__file__, "--quick", "-o", tmp_path / "runs"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "no handler of DPDK can run here: libdpdk was not there" in done.stderr
    assert "apt-get install libdpdk-dev" in done.stderr
    assert not (tmp_path / "runs").exists()
