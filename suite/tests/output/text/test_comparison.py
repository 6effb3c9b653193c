# SPDX-License-Identifier: BSD-3-Clause
"""Comparisons within a run and across two."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import pytest

from allocmark.errors import UsageError
from allocmark.output.text.comparison import compare
from allocmark.results.store import Run

Simulate = Callable[..., Run]


def body(text: str) -> list[list[str]]:
    """The rows of the table: columns apart by two blanks or more."""
    lines = text.split("\n-")[1].split("\n\n")[0].splitlines()[1:]
    return [re.split(r"\s{2,}", line.strip()) for line in lines]


def said(text: str, *words: str) -> list[str]:
    """The verdicts of the rows that hold all the words."""
    return [row[2] if row[0][0].isdigit() else row[0] for row in body(text) if all(w in " ".join(row) for w in words)]


def test_one_run_lists_the_worst_first(simulate: Simulate) -> None:
    text = compare([simulate()], "glibc", width=120)
    table = body(text)
    assert len(table) == 7 * 4
    ratios = [float(row[0]) for row in table]
    assert ratios == sorted(ratios, reverse=True)
    assert table[0][2] == "slower"
    assert "glibc:no-tcache" in table[0]
    assert table[-1][2] == "faster"
    assert table[-1][-2:] == ["turbomem", "cross_core_free burst=8 touch=0"]
    assert "\nThe same in all cases: burst touch=0; mixed_sizes lifetime=random.\n" in text
    assert "below 1 is faster than glibc:default" in text
    assert max(map(len, text.splitlines())) <= 120


def test_one_run_says_what_has_no_ratio(simulate: Simulate) -> None:
    status = {("burst", "turbomem:default"): ("unavailable", "no huge pages", None)}
    text = compare([simulate(status=status)], "glibc")
    assert "Without a ratio:\n  turbomem burst: unavailable: no huge pages (3 cases)\n" in text


def test_differing_baselines_are_shown(simulate: Simulate) -> None:
    text = compare([simulate(status={("mixed_sizes", "glibc:default"): ("failed", "crash", None)})])
    assert re.search(r"backend +baseline +case", text)
    assert "faster than the baseline" in text


def test_a_run_and_itself_are_the_same(simulate: Simulate) -> None:
    run = simulate(rounds=40)
    table = body(compare([run, run], "glibc"))
    assert len(table) == 7 * 4
    assert {float(row[0]) for row in table} == {1.0}
    assert set(said(compare([run, run]), "=")) <= {"same", "cannot tell"}


def test_identical_runs_raise_no_alarm(simulate: Simulate) -> None:
    runs = [simulate(seed=1), simulate(seed=2)]
    for baseline in (None, "glibc"):
        assert not {row[2] for row in body(compare(runs, baseline))} & {"slower", "faster"}


def test_a_baseline_in_both_runs_finds_what_the_drift_hides(simulate: Simulate) -> None:
    runs = [simulate(seed=1), simulate(seed=2, scale={"turbomem:default": 1.08})]
    text = compare(runs, "glibc")
    assert said(text, "turbomem") == ["slower"] * 7
    assert set(said(text, "dpdk_ring:ring_mp_mc")) <= {"same", "cannot tell"}
    assert body(text)[0][-2] == "turbomem"
    alone = compare(runs)
    assert "slower" not in said(alone, "turbomem")
    assert "--baseline NAME compares ratios to a backend that is in both runs" in " ".join(alone.split())


def test_a_large_change_needs_no_baseline(simulate: Simulate) -> None:
    text = compare([simulate(seed=1), simulate(seed=2, scale={"turbomem:default": 0.5})])
    assert said(text, "turbomem") == ["faster"] * 7


def test_another_distance_cannot_be_compared(simulate: Simulate) -> None:
    far = dict.fromkeys(range(16), 300.0)
    text = compare([simulate(), simulate(distances=far)])
    assert set(said(text, "cross_core_free")) == {"cannot tell: distance changed"}
    assert "cannot tell: distance changed" not in said(text, "mixed_sizes")


def test_slower_cpus_cannot_be_compared(simulate: Simulate) -> None:
    text = compare([simulate(), simulate(pace=34.0)])
    assert set(said(text, "=")) == {"cannot tell: CPU speed changed"}


def test_another_workload_file_cannot_be_compared(simulate: Simulate) -> None:
    text = compare([simulate(), simulate(digest="d2")])
    assert set(said(text, "=")) == {"cannot tell: the workload changed"}


def test_cells_that_failed_once_or_are_in_one_run_only(simulate: Simulate) -> None:
    before = simulate()
    failed = {("mixed_sizes", "turbomem:default"): ("failed", "crash", None)}
    now = simulate(skip=1, status=failed)
    text = compare([before, now])
    assert said(text, "mixed_sizes", "turbomem") == ["cannot tell: failed now"] * 2
    only = text.split("Only before:\n")[1].split("\n\n")[0]
    assert only.startswith("  burst burst=1 keep=128: null, glibc:default, glibc:no-tcache, dpdk_ring:ring_mp_mc")
    assert "Only now:" not in text
    assert "Only now:" in compare([now, before])


def test_runs_of_different_machines_are_refused_in_one_line(simulate: Simulate) -> None:
    one, two = simulate(machine={"cpu": "A", "cores": 2}), simulate(machine={"cpu": "B", "cores": 2})
    with pytest.raises(UsageError) as caught:
        compare([one, two])
    text = str(caught.value)
    assert "are of different machines (cpu A and B): compare runs of one machine" in text
    assert "\n" not in text


def test_one_or_two_runs(simulate: Simulate) -> None:
    run = simulate()
    with pytest.raises(UsageError, match="3 runs to compare: give one or two"):
        compare([run] * 3)
    with pytest.raises(UsageError, match="'tcmalloc' is not in"):
        compare([run, run], "tcmalloc")


def test_one_run_ends_with_geometric_means(simulate: Simulate) -> None:
    text = compare([simulate()], "dpdk_ring:*")
    means = text.split("Geometric means over these cases:\n\n")[1].split("\n\n")[0].splitlines()
    assert re.split("  +", means[0]) == [
        *("backend", "cases", "ratio", "99 % interval", "net cases", "net ratio", "net 99 % interval")
    ]
    [turbomem] = [line.split() for line in means if line.startswith("turbomem")]
    best = [5.01, 0.391, 0.91, 4.21, 4.31, 3.1, 4.4]
    ours = [1.51, 0.252, 0.39, 3.55, 3.61, 1.8, 4.38]
    truth = math.exp(sum(math.log(a / b) for a, b in zip(ours, best, strict=True)) / 7)
    assert turbomem[1] == "7"
    assert float(turbomem[2]) == pytest.approx(truth, rel=0.02)
