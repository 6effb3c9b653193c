# SPDX-License-Identifier: BSD-3-Clause
"""The tables people read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from allocmark.errors import UsageError
from allocmark.output.text.figures import decimals, figure, interval, plain, shorten
from allocmark.output.text.run_table import render
from allocmark.output.text.wording import other_group
from allocmark.results.store import Run
from allocmark.results.summary import summarise
from allocmark.stats import Estimate, Modes
from fixtures.simulated import SHAPES

Simulate = Callable[..., Run]

NO_PAGES = "no free huge pages of 2 MB: the pool needs 80 and this process may not reserve any"
CRASH = "killed by SIGSEGV in sample 4; last output:\n\x1b[31mfree(): invalid pointer\x1b[0m"
TROUBLE = {
    ("burst", "dpdk_ring:lf_stack"): ("unavailable", NO_PAGES, "sudo sysctl vm.nr_hugepages=80"),
    ("cross_core_free", "glibc:no-tcache"): ("failed", CRASH, None),
}


def rows(text: str, backend: str) -> list[str]:
    return [line for line in text.splitlines() if re.search(rf"(^|\s){re.escape(backend)}\s\s", line)]


def header(text: str) -> str:
    """Of the first table."""
    lines = text.splitlines()
    return lines[next(i for i, line in enumerate(lines) if line.startswith("--")) - 1]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.3451, "0.345"),
        (0.9996, "1.00"),
        (12.345, "12.3"),
        (99.96, "100"),
        (1234.5, "1234"),
        (-0.0412, "-0.0412"),
        (0.00012, "0.0001"),
        (0.0, "0.0000"),
    ],
)
def test_three_significant_digits(value: float, shown: str) -> None:
    assert figure(Estimate(value, value, value, 9, True)) == shown


def test_intervals_have_the_decimals_of_their_value() -> None:
    assert interval(Estimate(0.345, 0.3412, 0.35, 9, True)) == "[0.341, 0.350]"
    assert interval(Estimate(9.99, 9.5, 10.5, 9, False)) == "(9.50, 10.50)"
    assert decimals(0.345) == 3


def test_plain_text_cannot_command_a_terminal() -> None:
    assert plain("a\n\x1b[31;1mred\x1b[0m\x07 \ud800 b\u202e") == "a red b"


def test_shorten_cuts_at_a_word() -> None:
    assert shorten("no free huge pages", 40) == "no free huge pages"
    assert shorten("no free huge pages", 16) == "no free huge..."
    assert len(shorten("x" * 99, 30)) == 30


def test_a_run_fits_120_columns_and_holds_every_cell(simulate: Simulate) -> None:
    run = simulate(status=TROUBLE, changed=(3,), disturbed={3: ["steal"]})
    text = render(run, width=120)
    assert max(map(len, text.splitlines())) <= 120
    assert all(line == line.rstrip() for line in text.splitlines())
    assert text.isascii()
    for backend in ("null", "glibc:default", "glibc:no-tcache", "dpdk_ring:ring_mp_mc", "turbomem"):
        assert len(rows(text, backend)) == 7
    for name in ("burst", "mixed_sizes", "cross_core_free"):
        assert re.search(rf"^{name}\b", text, re.MULTILINE)


def test_the_head_says_which_run_of_what_where(simulate: Simulate) -> None:
    head = render(simulate()).split("\n\n")[0].splitlines()
    assert head[0] == "20250131-120000, 2025-01-31T12:00:00Z, seed 7"
    assert head[1].startswith("AMD EPYC 9B45, 2 CPUs, 2 cores, NUMA nodes: 1, 24 GiB, under KVM")
    assert head[2] == "null 0.1.0, glibc 2.36, dpdk_ring 22.11.11, turbomem 0.1.0"


def test_a_row_reads_as_its_figures(simulate: Simulate) -> None:
    text = render(simulate(noise=1e-6))
    row = rows(text, "turbomem")[0].split()
    gross, low, high, net, net_low, net_high, ratio, ratio_low, ratio_high, net_ratio, tells, verdict = row[-12:]
    assert float(low.strip("[,")) < float(gross) < float(high.strip("]"))
    assert float(net_low.strip("[,")) <= float(net) <= float(net_high.strip("]"))
    assert float(net) / float(gross) == pytest.approx((1.51 - 0.61) / 1.51, rel=0.01)
    assert (ratio, ratio_low, ratio_high) == ("0.184", "[0.184,", "0.184]")
    assert (net_ratio, tells, verdict) == ("0.119", "2%", "faster")
    assert rows(text, "glibc:default")[0].endswith("baseline")
    assert rows(text, "null")[0].endswith("floor")


def test_parameters_that_do_not_change_are_in_the_title(simulate: Simulate) -> None:
    text = render(simulate())
    assert "burst  (touch=0)" in text
    assert "mixed_sizes  (lifetime=random)" in text
    heads = ["burst", "keep", "backend", "ns/object", "95 % interval", "net", "net 95 % interval"]
    heads += ["ratio", "99 % interval", "net ratio", "tells", "verdict"]
    assert heads in [re.split("  +", line) for line in text.splitlines()]
    # And one that changes is said once a case.
    starts = re.findall(r"^ *(\d+) +(\d+) +null", text, re.MULTILINE)
    assert starts == [("1", "128"), ("32", "128"), ("32", "8192"), ("8", "0"), ("32", "64")]


def test_what_did_not_run_says_why_in_its_row_and_once_in_full(simulate: Simulate) -> None:
    text = render(simulate(status=TROUBLE), width=120)
    assert text.count("unavailable: no free huge pages of 2 MB: the pool needs 80 and this process may...") == 3
    assert text.count(f"dpdk_ring:lf_stack unavailable: {NO_PAGES}") == 1
    assert text.count("    to change that: sudo sysctl vm.nr_hugepages=80\n") == 1
    crash = "failed: killed by SIGSEGV in sample 4; last output: free(): invalid pointer"
    assert text.count(f"       {crash}") == 2
    assert text.count(f"\nglibc:no-tcache {crash}") == 1
    assert "\x1b" not in text


def test_what_was_set_aside_and_disturbed_is_told(simulate: Simulate) -> None:
    text = render(
        simulate(changed=(3, 4), distances={9: 610.0}, disturbed={3: ["steal"], 10: ["descheduled"]}), width=120
    )
    assert "core-to-core distance: 58 ns for" in text
    aside = "in 4 the speed of a CPU or the core-to-core distance changed, in 2 it was not the usual one"
    assert f"Not used: 6 of 32 blocks; {aside}." in " ".join(text.split())
    # Three cases of six cells with two marked samples in each.
    head = "burst  (touch=0)\ndisturbed: 36 of 576 samples (descheduled, steal); they count like the others, but a cell"
    assert head in text


def test_blocks_on_a_slow_cpu_are_not_used(simulate: Simulate) -> None:
    text = render(simulate(shapes=SHAPES[:1], paces={2: 34.0, 7: 33.0}), width=120)
    aside = "in 2 the speed of a CPU or the core-to-core distance was not the usual one"
    assert f"Not used: 2 of 16 blocks; {aside}." in " ".join(text.split())


def test_slow_processes_are_counted(simulate: Simulate) -> None:
    text = render(simulate(rounds=40, slow={"turbomem:default": 30}), "glibc", 200)
    slow, n = map(int, re.search(r"(\d+) of (\d+) cost 2x$", rows(text, "turbomem")[0]).groups())
    assert 4 <= slow <= 20
    assert n == 40
    assert not rows(text, "glibc:no-tcache")[0].endswith("x")
    assert "other group: so many of a cell's processes" in text


def test_a_floor_that_a_backend_undercuts_gives_no_net(simulate: Simulate) -> None:
    text = render(simulate(scale={"null:default": 3.0}), "glibc", 200)
    burst = text.split("burst  (")[1].split("mixed_sizes")[0]
    assert "No net at burst=1 keep=128 touch=0: turbomem:default costs less than the floor here" in burst
    assert "No net at burst=32 keep=128" not in burst


def test_a_quiet_run_has_no_such_notes(simulate: Simulate) -> None:
    text = render(simulate())
    assert "Not used" not in text
    assert "disturbed" not in text
    assert "Not measured" not in text
    assert "(low, high)" not in text


def test_too_few_rounds_show_a_range_and_no_verdict(simulate: Simulate) -> None:
    text = " ".join((table := render(simulate(rounds=4, finished=2), width=120)).split())
    assert re.search(r"turbomem .*\(\d\.\d+, \d\.\d+\).*cannot tell$", table, re.MULTILINE)
    assert "(low, high): the lowest and the highest process" in text
    assert "the median over 4 processes of each cell" in text
    assert "No verdict: so few processes tell too little" in text
    assert "This run needs 16 rounds or more." in text
    assert "faster or slower" not in text
    assert "Not measured: 5 of 7 cases in the plan." in text


def test_a_baseline_without_figures_is_replaced_and_that_is_said(simulate: Simulate) -> None:
    text = render(simulate(status={("mixed_sizes", "glibc:default"): ("failed", "out of memory", None)}), "glibc")
    table = text.split("mixed_sizes  (")[1].split("cross_core_free")[0]
    where, why = "sizes=imix lifetime=random", "the baseline glibc:default failed: out of memory."
    assert f"Ratios are to glibc:no-tcache at {where}: {why}" in " ".join(table.split())
    assert [row.split()[-1] for row in rows(table, "glibc:no-tcache")] == ["baseline"] * 2
    assert [row.split()[-1] for row in rows(table, "turbomem")] == ["faster"] * 2
    with pytest.raises(UsageError, match="'tcmalloc' is not in"):
        render(simulate(), "tcmalloc")


def test_a_narrow_terminal_loses_columns_and_is_told(simulate: Simulate) -> None:
    run = simulate(status=TROUBLE)
    narrow, wide = render(run, width=80), render(run, width=200)
    assert f"  unavailable: {NO_PAGES}\n" in wide
    assert "Not shown" not in wide
    left_out = "net 95 % interval, net ratio, 95 % interval, tells, 99 % interval."
    assert f"Not shown, to stay within 80 columns: {left_out}" in " ".join(narrow.split())
    assert re.search(r" unavailable: no free huge pages .*\.\.\.$", narrow, re.MULTILINE)
    assert max(map(len, narrow.splitlines())) <= 80
    for row, full in zip(rows(narrow, "turbomem"), rows(wide, "turbomem"), strict=True):
        assert set(row.split()) < set(full.split())


def test_percentiles_and_reuse_have_a_table_of_their_own(simulate: Simulate) -> None:
    text = render(simulate(calls=2000), "glibc")
    calls = text.split("burst: single calls, ns\n")[1].split("\n\n\n")[0].split("memory reused")[0]
    first = rows(calls, "turbomem")[0].split()
    #               get p50 p99 p99.9 p99.99 max    put
    assert first == ["turbomem", "2", "2", "151", "few", "151", "1", "1", "few", "few", "1"]
    assert "Reading the clock takes 20 ns of each figure and has steps of 10 ns. few: fewer than 10" in calls
    reuse = text.split("burst: memory reused, distinct per 1,000 objects got by one actor\n")[1].split("Counted")[0]
    assert rows(reuse, "turbomem")[0].split() == ["turbomem", "1.0", "11", "700", "700", "1", "700", "0%"]
    assert not rows(reuse, "null")  # the floor is not asked
    assert "single calls" not in render(simulate())


def test_in_a_narrow_terminal_the_new_tables_fit(simulate: Simulate) -> None:
    text = render(simulate(calls=2000), "dpdk_ring:*", 80)
    assert [line for line in text.splitlines() if len(line) > 80] == []


def test_where_baselines_differ_each_row_names_its_own(simulate: Simulate) -> None:
    text = render(simulate(rounds=100, noise=0.001), "dpdk_ring:*")
    burst = text.split("\n\n")[2]
    assert [row.split()[-1] for row in rows(burst, "turbomem")] == [
        "dpdk_ring:ring_mp_mc",
        "dpdk_ring:lf_stack",
        "dpdk_ring:ring_mp_mc",
    ]
    assert "below 1 is faster than the baseline" in " ".join(text.split())


def in_80(run: Run, baseline: str | None = None) -> tuple[str, str]:
    """The table for a narrow terminal, and the same without line breaks."""
    text = render(run, baseline, 80)
    assert max(map(len, text.splitlines())) <= 80
    return text, " ".join(text.split())


def test_processes_apart_have_a_column(simulate: Simulate) -> None:
    text, said = in_80(simulate(shapes=SHAPES[:2], rounds=18, slow={"turbomem:default": 30}))
    assert "other group" in header(text)
    assert [bool(re.search(r"\d+ of 18 cost [\d.]+x$", row)) for row in rows(text, "turbomem")] == [True, True]
    assert not any("cost" in row for row in rows(text, "glibc:default"))
    assert "other group: so many of a cell's processes cost that many times as much" in said
    assert "other group" not in in_80(simulate(shapes=SHAPES[:2]))[1]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, ""),
        (Modes(3, 12, 1.5), "3 of 12 cost 1.5x"),
        (Modes(6, 12, 2.0), "6 of 12 cost 2x"),
        (Modes(11, 12, 1.25), "1 of 12 cost 0.8x"),
    ],
)
def test_the_smaller_group_is_compared_with_the_larger_one(simulate: Simulate, found: Modes | None, said: str) -> None:
    cell = summarise(simulate(shapes=SHAPES[:1]))[0].cells[1]
    assert other_group(replace(cell, modes=found)) == said


def test_no_net_says_why_and_is_not_explained(simulate: Simulate) -> None:
    text, said = in_80(simulate(shapes=SHAPES[:1], scale={"turbomem:default": 0.3}))
    assert "No net: turbomem:default costs less than the floor here, so nothing can be subtracted." in said
    assert " net " not in header(text)
    assert "net: ns/object" not in said
    assert "The floor is null" in said


def test_mostly_disturbed_samples_give_no_verdict_and_say_so_once(simulate: Simulate) -> None:
    text, said = in_80(simulate(shapes=SHAPES[:1], per_block=1, disturbed={i: ["steal"] for i in range(10)}))
    assert said.count("10 of 16 samples were disturbed. Use a quieter machine.") == 1
    assert "No verdict on glibc:no-tcache, dpdk_ring:ring_mp_mc, dpdk_ring:lf_stack, turbomem:" in said
    assert rows(text, "turbomem")[0].endswith("cannot tell")


def test_one_round_has_figures_without_intervals(simulate: Simulate) -> None:
    text, said = in_80(simulate(shapes=SHAPES[:1], rounds=1))
    assert "interval" not in header(text)
    assert "from one process of each cell" in said
    assert "No verdict: one process tells too little" in said
    assert "(low, high)" not in said
    assert rows(text, "turbomem")[0].endswith("cannot tell")
