# SPDX-License-Identifier: BSD-3-Clause
"""From samples to figures: medians, floors, baselines, and what is set aside."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from allocmark.errors import UsageError
from allocmark.results.store import Run, read_run
from allocmark.results.summary import CaseSummary, CellSummary, document, summarise
from allocmark.stats import Verdict, least_rounds
from fixtures.simulated import SHAPES, edit_run

Simulate = Callable[..., Run]

FAILED = ("failed", "killed by SIGSEGV", None)


def cell(case: CaseSummary, label: str) -> CellSummary:
    return next(c for c in case.cells if c.cell.label == label)


def test_figures_are_near_the_truth(simulate: Simulate) -> None:
    cases = summarise(simulate(), "glibc")
    assert [g.planned.case for g in cases] == list(range(7))
    first = cases[0]
    turbomem = cell(first, "turbomem:default")
    assert turbomem.median
    assert turbomem.net
    assert turbomem.ratio
    assert turbomem.net_ratio
    assert turbomem.median.value == pytest.approx(1.51, rel=0.03)
    assert turbomem.net.value == pytest.approx(1.51 - 0.61, rel=0.03)
    assert turbomem.ratio.value == pytest.approx(1.51 / 8.2, rel=0.01)
    assert turbomem.net_ratio.value == pytest.approx((1.51 - 0.61) / (8.2 - 0.61), rel=0.01)
    assert turbomem.verdict is Verdict.FASTER
    assert cell(first, "glibc:no-tcache").verdict is Verdict.SLOWER
    assert (turbomem.used, turbomem.set_aside, turbomem.disturbed) == (32, 0, 0)


def test_identical_backends_are_not_told_apart(simulate: Simulate) -> None:
    # ring_mp_mc and lf_stack cost the same in the first two cases but for 0.4 %.
    for case in summarise(simulate(rounds=60, shapes=SHAPES[:2], noise=0.005), "dpdk_ring:ring_mp_mc"):
        assert cell(case, "dpdk_ring:lf_stack").verdict is Verdict.SAME


def test_the_floor_has_no_net_and_no_ratio(simulate: Simulate) -> None:
    case = summarise(simulate())[0]
    floor = cell(case, "null:default")
    assert case.floor == "null:default"
    assert (floor.net, floor.ratio, floor.verdict, floor.no_ratio) == (None, None, None, "this is the floor")


def test_without_a_floor_there_is_no_net(simulate: Simulate) -> None:
    case = summarise(simulate(status={("burst", "null:default"): FAILED}))[0]
    assert case.floor is None
    assert all(c.net is None and c.net_ratio is None for c in case.cells)
    assert cell(case, "turbomem:default").ratio is not None


def test_blocks_of_another_distance_are_set_aside(simulate: Simulate) -> None:
    run = simulate(changed=(3, 4), distances={9: 610.0, 10: 620.0, 11: 600.0}, disturbed={3: ["steal"], 6: ["steal"]})
    one_core, two_cores = summarise(run)[0], summarise(run)[-1]
    assert (one_core.conditions.distance_ns, len(one_core.conditions.kept)) == (None, 16)
    usual = two_cores.conditions
    assert (usual.distance_ns, usual.pace_ns, usual.changed, usual.other) == (58.0, 18.0, 2, 3)
    turbomem = cell(two_cores, "turbomem:default")
    assert set(turbomem.values) == set(range(16)) - {3, 4, 9, 10, 11}
    # Sample 6 is the first of block 3, which does not count; sample 3 lies in block 1.
    assert (turbomem.used, turbomem.set_aside, turbomem.disturbed) == (22, 10, 1)


def test_blocks_on_a_slow_cpu_are_set_aside(simulate: Simulate) -> None:
    one_core = summarise(simulate(paces={2: 34.0, 7: 31.0}))[0]
    assert set(cell(one_core, "turbomem:default").values) == set(range(16)) - {2, 7}
    assert one_core.conditions.pace_ns == 18.0


def test_the_baseline_is_the_first_that_gave_figures(simulate: Simulate) -> None:
    cases = summarise(simulate(status={("mixed_sizes", "glibc:default"): FAILED}))
    assert [g.baseline for g in cases[:4]] == ["glibc:default"] * 3 + ["glibc:no-tcache"]


def test_the_run_knows_its_baseline(simulate: Simulate) -> None:
    run = simulate(baseline="turbomem")
    assert {g.baseline for g in summarise(run)} == {"turbomem:default"}
    assert {g.baseline for g in summarise(run, "dpdk_ring")} == {"dpdk_ring:ring_mp_mc"}
    assert {g.baseline for g in summarise(run, "dpdk_ring:lf_stack")} == {"dpdk_ring:lf_stack"}


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (FAILED, "the baseline glibc:default failed: killed by SIGSEGV"),
        (("unavailable", "too old", None), "the baseline glibc:default is unavailable: too old"),
    ],
)
def test_where_the_baseline_gave_nothing_the_first_that_did_takes_its_place(
    simulate: Simulate, status: tuple[str, str, str | None], why: str
) -> None:
    cases = summarise(simulate(status={("burst", "glibc:default"): status}), "glibc")
    assert (cases[0].baseline, cases[0].no_baseline) == ("glibc:no-tcache", why)
    assert (cases[3].baseline, cases[3].no_baseline) == ("glibc:default", None)
    lost, turbomem = cell(cases[0], "glibc:default"), cell(cases[0], "turbomem:default")
    assert (lost.ratio, lost.verdict, lost.no_ratio) == (None, None, status[1])
    assert turbomem.ratio
    assert turbomem.ratio.value == pytest.approx(1.51 / 21.5, rel=0.02)


def test_a_verdict_takes_as_many_rounds_as_the_number_of_ratios_asks_for(simulate: Simulate) -> None:
    least = least_rounds(4)
    for rounds, said in ((least - 1, Verdict.CANNOT_TELL), (least, Verdict.FASTER)):
        (case,) = summarise(simulate(shapes=SHAPES[:1], rounds=rounds), "glibc")
        assert case.ratios == 4
        assert cell(case, "turbomem:default").verdict is said


def test_slow_processes_are_told_and_leave_the_median_alone(simulate: Simulate) -> None:
    (case,) = summarise(simulate(shapes=SHAPES[:1], rounds=40, slow={"turbomem:default": 20}), "glibc")
    turbomem = cell(case, "turbomem:default")
    assert turbomem.modes
    assert turbomem.median
    assert (turbomem.modes.n, turbomem.modes.factor) == (40, pytest.approx(2, rel=0.05))
    assert turbomem.modes.slow == sum(ns > 2 for ns in turbomem.values.values()) > 0
    assert turbomem.median.value == pytest.approx(1.51, rel=0.05)
    assert cell(case, "glibc:default").modes is None


def test_nothing_is_subtracted_where_a_backend_undercuts_the_floor(simulate: Simulate) -> None:
    (case,) = summarise(simulate(shapes=SHAPES[:1], scale={"turbomem:default": 0.3}), "glibc")
    assert case.no_net == "turbomem:default costs less than the floor here, so nothing can be subtracted"
    assert case.floor == "null:default"
    assert all(c.net is None and c.net_ratio is None and not c.nets for c in case.cells)
    assert cell(case, "turbomem:default").verdict is Verdict.FASTER


def test_mostly_disturbed_samples_give_no_verdict(simulate: Simulate) -> None:
    def disturbed(n: int) -> CaseSummary:
        run = simulate(shapes=SHAPES[:1], per_block=1, disturbed={i: ["steal"] for i in range(n)})
        return summarise(run, "glibc")[0]

    half, more = (cell(disturbed(n), "turbomem:default") for n in (8, 9))
    assert (half.verdict, half.no_verdict) == (Verdict.FASTER, None)
    assert (more.verdict, more.no_verdict) == (Verdict.CANNOT_TELL, "9 of 16 samples were disturbed")
    assert more.ratio is not None
    for n, said in ((8, Verdict.FASTER), (9, Verdict.CANNOT_TELL)):
        case = disturbed(n)
        assert case.verdict(cell(case, "turbomem:default"), cell(case, "glibc:default")) is said


def test_a_mostly_disturbed_baseline_gives_no_verdict(simulate: Simulate) -> None:
    run = simulate(shapes=SHAPES[:1], per_block=1, disturbed={i: ["steal"] for i in range(9)})
    edit_run(run.path, _only_the_baseline_disturbed)
    (case,) = summarise(read_run(run.path), "glibc")
    turbomem = cell(case, "turbomem:default")
    assert (turbomem.verdict, turbomem.no_verdict) == (
        Verdict.CANNOT_TELL,
        "of the baseline 9 of 16 samples were disturbed",
    )


def _only_the_baseline_disturbed(lines: list[Any]) -> None:
    for line in lines:
        if line["type"] == "cell" and (line["backend"], line["variant"]) != ("glibc", "default"):
            line["disturbed"] = {}


def test_an_unknown_baseline_is_refused_with_what_is_possible(simulate: Simulate) -> None:
    with pytest.raises(
        UsageError, match=r"'jemalloc' is not in .*possible are null:default, glibc:default, glibc:no-t"
    ):
        summarise(simulate(), "jemalloc")


def test_every_block_set_aside_gives_no_figure(simulate: Simulate) -> None:
    case = summarise(simulate(changed=range(16)))[-1]
    assert case.baseline is None
    assert all(c.median is None and c.used == 0 and c.set_aside == 32 for c in case.cells)


def test_the_document_is_strict_json_with_the_raw_samples(simulate: Simulate) -> None:
    run = simulate(status={("burst", "glibc:no-tcache"): ("unavailable", "too old", "upgrade")})
    found: dict[str, Any] = json.loads(json.dumps(document(run, "glibc"), allow_nan=False))
    assert (found["format"], found["seed"], found["baseline"], found["complete"]) == (3, 7, "glibc", True)
    assert found["environment"]["machine"]["cpus"] == 2
    assert len(found["cells"]) == 7 * 6
    absent = next(c for c in found["cells"] if c["status"] == "unavailable")
    assert (absent["reason"], absent["fix"], absent["median"], absent["ci95"]) == (
        "too old",
        "upgrade",
        None,
        None,
    )
    last = found["cells"][-1]
    assert (last["workload"], last["backend"], last["variant"]) == ("cross_core_free", "turbomem", "default")
    assert last["parameters"] == {"burst": 32, "touch": 64}
    assert last["samples"] == list(run.cases[-1].cells[-1].samples)
    assert last["ci95"][0] < last["median"] < last["ci95"][1]
    assert last["net_median"] < last["median"]
    assert (last["unit"], last["verdict"], last["attestation"]["pages"]) == ("ns/object", "faster", "thp")
    assert found["cases"][-1]["distance_ns"] == 58.0


def test_the_document_gives_no_interval_that_is_none(simulate: Simulate) -> None:
    last = document(simulate(rounds=4))["cells"][-1]
    assert last["median"] > 0
    assert (last["ci95"], last["ratio_ci99"], last["verdict"]) == (None, None, "cannot tell")


def test_a_run_that_was_stopped_is_not_complete(simulate: Simulate) -> None:
    found = document(simulate(finished=2))
    assert not found["complete"]
    assert len(found["cases"]) == 2


def test_a_family_gives_each_group_its_cheapest(simulate: Simulate) -> None:
    # lf_stack is the cheaper one in the second case only, by 0.3 %; nothing else of the family is near.
    cases = summarise(simulate(rounds=100, noise=0.001), "dpdk_ring:*")
    assert [case.baseline for case in cases] == [
        "dpdk_ring:ring_mp_mc",
        "dpdk_ring:lf_stack",
        *["dpdk_ring:ring_mp_mc"] * 5,
    ]
    for case in cases:
        assert case.baseline
        best = cell(case, case.baseline)
        assert best.no_ratio == "this is the baseline"
        for label in ("dpdk_ring:ring_mp_mc", "dpdk_ring:lf_stack", "turbomem:default"):
            ratio = cell(case, label).ratio
            assert label == case.baseline or (ratio and ratio.n == 100)


def test_a_family_is_of_those_that_completed(simulate: Simulate) -> None:
    status = {("burst", "dpdk_ring:ring_mp_mc"): FAILED, ("burst", "glibc:default"): FAILED}
    cases = summarise(simulate(status=status), "glibc,dpdk_ring:ring*")
    assert [case.baseline for case in cases[:3]] == ["glibc:no-tcache"] * 3
    assert {case.baseline for case in cases[3:]} == {"dpdk_ring:ring_mp_mc"}
    lost = {("burst", label): FAILED for label in ("dpdk_ring:ring_mp_mc", "dpdk_ring:lf_stack")}
    case = summarise(simulate(status=lost), "dpdk_ring:*")[0]
    why = "none of the baseline's family dpdk_ring:* gave figures here"
    assert (case.baseline, case.no_baseline) == ("glibc:default", why)


def test_the_floor_is_never_of_the_family(simulate: Simulate) -> None:
    assert summarise(simulate(), "*")[0].baseline == "turbomem:default"


def test_a_family_of_nobody_is_refused(simulate: Simulate) -> None:
    with pytest.raises(UsageError, match=r"baseline 'jemalloc:\*' is not in .*possible are null:default, glibc"):
        summarise(simulate(), "jemalloc:*")


def test_latency_and_reuse_are_in_the_summary_and_in_the_document(simulate: Simulate) -> None:
    run = simulate(calls=2000)
    turbomem = cell(summarise(run)[0], "turbomem:default")
    latency = turbomem.cell.passes["latency"]
    assert latency.get.percentiles == {"50": 1.51, "99": 1.51, "99.9": 151.0, "99.99": None}
    assert latency.put.count == 8000
    written = next(c for c in json.loads(json.dumps(document(run)))["cells"] if c["backend"] == "turbomem")
    assert written["latency"]["get"]["percentiles"]["99.9"] == 151.0
    assert written["latency"]["get"]["calls"] == 16_000
    assert written["latency"]["get"]["buckets"] == [[1.51, 15_968], [151.0, 32]]
    assert written["reuse"]["objects"] == 700
    without = document(simulate())["cells"][-1]
    assert (without["latency"], without["reuse"]) == (None, None)


def test_a_run_is_shown_without_the_engine(simulate: Simulate) -> None:
    code = "import sys; from allocmark.cli import main; main(['show', sys.argv[1]]); print(*sys.modules)"
    path = str(simulate(calls=2000).path)
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert "memory reused" in done.stdout
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "allocmark.results.records" in loaded
    assert not {"allocmark.engine", "allocmark.engine._engine", "cffi", "_cffi_backend", "pluggy"} & loaded
