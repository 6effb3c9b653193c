# SPDX-License-Identifier: BSD-3-Clause
"""What each proof decides, on figures that are made up."""

from __future__ import annotations

import math

import pytest

from allocmark.stats import Estimate, Verdict, share_bounds
from allocmark.validate import carry_over, dpdk_test, fidelity, floor, power, repeatability, silence
from allocmark.validate.power import Try
from allocmark.validate.proof import Figure, Holds, Proof, at_least, at_most, ratio_of, within
from allocmark.validate.repeatability import Told

FASTER, SLOWER, SAME, CANNOT_TELL = Verdict


def ratio(value: float, arm: float = 0.01, covered: bool = True) -> Estimate:
    return Estimate(value, value - arm, value + arm, 20, covered)


def holds(figures: list[Figure]) -> dict[str, Holds | None]:
    return {figure.what: figure.holds for figure in figures}


# Shares.


@pytest.mark.parametrize(
    ("found", "n", "said"),
    [
        (59, 59, Holds.YES),  # the fewest that are certain for 95 %
        (58, 58, Holds.CANNOT_TELL),
        (10, 10, Holds.CANNOT_TELL),
        (0, 1, Holds.CANNOT_TELL),
        (0, 0, Holds.CANNOT_TELL),
        (0, 2, Holds.NO),
        (95, 100, Holds.YES),  # enough: the share itself decides
        (94, 100, Holds.NO),
    ],
)
def test_at_least(found: int, n: int, said: Holds) -> None:
    assert at_least(found, n, 0.95, enough=100) is said
    assert at_most(n - found, n, 0.05, enough=100) is said


def test_the_bounds_of_a_share_are_exact():
    low, high = share_bounds(3, 20)
    assert sum(math.comb(20, k) * low**k * (1 - low) ** (20 - k) for k in range(3, 21)) == pytest.approx(0.05)
    assert sum(math.comb(20, k) * high**k * (1 - high) ** (20 - k) for k in range(4)) == pytest.approx(0.05)
    assert share_bounds(0, 400)[1] == pytest.approx(1 - 0.05 ** (1 / 400))
    assert share_bounds(400, 400) == (pytest.approx(0.05 ** (1 / 400)), 1.0)


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        (ratio(1.0), Holds.YES),
        (ratio(1.045), Holds.CANNOT_TELL),
        (ratio(1.07), Holds.NO),
        (ratio(0.93), Holds.NO),
        (ratio(1.0, 0.06), Holds.CANNOT_TELL),
        (ratio(2.0, covered=False), Holds.CANNOT_TELL),
        (None, Holds.CANNOT_TELL),
    ],
)
def test_within(estimate: Estimate | None, said: Holds) -> None:
    assert within(estimate, 0.05) is said


def test_a_ratio_of_few_processes_is_not_covered():
    logs = [math.log(1.1)] * 9
    assert ratio_of(logs, 2).covered
    assert ratio_of(logs, 2).value == pytest.approx(1.1)
    assert not ratio_of(logs[:8], 2).covered
    assert not ratio_of(logs, 12).covered  # more figures share the error
    assert ratio_of([], 2) is None


def test_a_proof_holds_as_its_worst_figure():
    def proof(*said: Holds | None) -> Holds:
        return Proof("p", [Figure("f", 0.0, "", "", each) for each in said], 1.0, {}).holds

    assert proof(Holds.YES, None) is Holds.YES
    assert proof(Holds.YES, Holds.CANNOT_TELL) is Holds.CANNOT_TELL
    assert proof(Holds.NO, Holds.CANNOT_TELL) is Holds.NO
    assert proof(None) is Holds.CANNOT_TELL
    assert proof() is Holds.CANNOT_TELL


# Repeatability.


def test_what_agrees_is_repeatable():
    told = {(f"case {i}", "a"): [Told(ratio(1.1 + 0.0001 * k), SLOWER) for k in range(20)] for i in range(15)}
    figures = repeatability.judged(told, 20)
    assert holds(figures) == {
        "contradictions": Holds.YES,
        "intervals with median": Holds.YES,
        "verdicts told": None,
        "spread between runs": None,
    }
    assert figures[1].text == "300 of 300"
    assert figures[3].value == pytest.approx(0.0019 / 1.10095)


def test_faster_once_and_slower_once_is_a_contradiction():
    told = {("case", "a"): [Told(ratio(0.9), FASTER), Told(ratio(1.1), SLOWER)], ("case", "b"): [Told(None, SAME)] * 2}
    figure = repeatability.judged(told, 2)[0]
    assert (figure.holds, figure.text) == (Holds.NO, "1 of 2")
    told = {("case", "a"): [Told(ratio(1.0), SAME), Told(ratio(1.1), SLOWER), Told(None, CANNOT_TELL)]}
    assert repeatability.judged(told, 3)[0].holds is Holds.YES


def test_intervals_that_miss_the_median_are_counted():
    runs = [Told(ratio(1.1), SLOWER)] * 9 + [Told(ratio(1.15), SLOWER)]
    figure = repeatability.judged({("case", str(i)): runs for i in range(12)}, 10)[1]
    assert (figure.holds, figure.text) == (Holds.NO, "108 of 120")


def test_few_runs_cannot_tell_99_in_100():
    told = {("case", "a"): [Told(ratio(1.1), SLOWER)] * 3}
    assert holds(repeatability.judged(told, 3))["intervals with median"] is Holds.CANNOT_TELL
    assert repeatability.judged({}, 3)[0].holds is Holds.CANNOT_TELL
    uncovered = {("case", "a"): [Told(ratio(1.1, covered=False), CANNOT_TELL)] * 3}
    assert repeatability.judged(uncovered, 3)[1].text == "0 of 0"


# Silence.


def test_silence():
    assert silence.judged("identical", [SAME] * 399 + [CANNOT_TELL]).holds is Holds.YES
    assert silence.judged("identical", [SAME] * 396 + [FASTER, SLOWER] * 2).holds is Holds.YES
    assert silence.judged("identical", [SAME] * 395 + [FASTER] * 5).holds is Holds.NO
    few = silence.judged("identical", [SAME] * 60)
    assert (few.holds, few.text) == (Holds.CANNOT_TELL, "0 of 60, < 4.9 %")
    assert silence.judged("identical", [SAME] * 57 + [SLOWER] * 3).holds is Holds.NO
    assert silence.judged("identical", []).holds is Holds.CANNOT_TELL


# Power.


def test_power():
    seen, called, missed = Try(ratio(1.015), CANNOT_TELL), Try(ratio(1.05), SLOWER), Try(ratio(1.005), SAME)
    unsure = Try(ratio(1.05, covered=False), CANNOT_TELL)
    figures = power.judged({0.01: [missed] * 100, 0.02: [seen] * 96 + [missed] * 4, 0.05: [called] * 100})
    assert [figure.holds for figure in figures] == [None, Holds.YES, Holds.YES, None]
    assert [figure.text for figure in figures] == [
        "0 of 100, 0 slower",
        "96 of 100, 0 slower",
        "100 of 100, 100 slower",
        "2 %",
    ]
    assert figures[1].what == "2 % (1.5 measured)"
    assert power.judged({0.02: [seen] * 94 + [unsure] * 6})[0].holds is Holds.NO
    assert [figure.holds for figure in power.judged({0.05: [called] * 10})] == [Holds.CANNOT_TELL, None]
    assert power.judged({0.05: [missed] * 10})[-1].text == "none"
    assert power.judged({0.05: []})[0].holds is Holds.CANNOT_TELL


# Fidelity.


def test_fidelity_takes_off_what_the_engine_costs_on_the_floor():
    bottom = [(0.20, 0.05)] * 12
    pairs = {
        (32, "null:default"): bottom,
        (32, "pool:thp"): [(0.451, 0.30)] * 12,
        (32, "slow:base"): [(0.49, 0.30)] * 12,
    }
    good, bad = fidelity.judged(pairs, "null:default")
    assert (good.what, good.holds) == ("pool bulk 32", Holds.YES)
    assert good.value == pytest.approx(0.301 / 0.3)
    assert (bad.what, bad.holds, bad.text) == ("slow bulk 32", Holds.NO, "+13 % [+13, +13]")


def test_fidelity_without_a_figure_cannot_tell():
    pairs = {(8, "null:default"): [(0.5, 0.1)], (8, "pool:thp"): [(0.3, 0.3)]}  # below what the engine costs
    (figure,) = fidelity.judged(pairs, "null:default")
    assert (figure.holds, figure.text) == (Holds.CANNOT_TELL, "not measured")


def test_dpdk_test_is_read():
    line = "mempool_autotest cache=512 cores=1 n_get_bulk=32 n_put_bulk=32 n_keep="
    printed = "\r\n".join(
        [
            "start performance test (with cache)",
            f"{line}128 constant_n=0 rate_persec=2500000000",
            f"{line}128 constant_n=1 rate_persec=5000000000",
            f"{line}512 constant_n=0 rate_pers",
        ]
    )
    assert dpdk_test.parsed(printed) == {(512, 1, 32, 32, 128): 0.4}
    assert fidelity.judged_by_dpdk(0.4, [(0.57, 0.4)] * 12, [(0.2, 0.05)] * 12).holds is Holds.YES
    assert fidelity.judged_by_dpdk(0.4, [(0.67, 0.4)] * 12, [(0.2, 0.05)] * 12).holds is Holds.NO


# Floor.


def test_floor():
    def said(*verdicts: Verdict) -> tuple[Holds | None, str]:
        figure = floor.judged({(f"case {i}", "a"): verdict for i, verdict in enumerate(verdicts)})
        return figure.holds, figure.text

    assert said(SLOWER, SAME) == (Holds.YES, "0 of 2")
    assert said(SLOWER, FASTER, CANNOT_TELL) == (Holds.NO, "1 of 3, 1 open")
    assert said(SLOWER, CANNOT_TELL) == (Holds.CANNOT_TELL, "0 of 2, 1 open")
    assert said() == (Holds.CANNOT_TELL, "0 of 0")


# Carry-over.


def costs(company: float) -> dict[tuple[tuple[str, ...], str], dict[int, float]]:
    """Of a alone and before b, where it costs ``company`` times as much; the machine drifts."""
    drift = {number: 1 + 0.1 * (number % 5) for number in range(12)}
    return {
        (("a",), "a"): drift,
        (("b",), "b"): drift,
        (("a", "b"), "a"): {number: company * ns for number, ns in drift.items()},
        (("b", "a"), "b"): drift,
    }


def test_company_that_changes_a_cost_is_flagged():
    (changed, largest), flagged = carry_over.judged(costs(1.03))
    assert (changed.holds, changed.text) == (Holds.NO, "1 of 2")
    assert largest.value == pytest.approx(0.03)
    assert flagged == ["a costs +3.0 % when it is measured before b"]


def test_company_that_changes_nothing_is_not():
    (changed, _), flagged = carry_over.judged(costs(1.002))
    assert (changed.holds, changed.text, flagged) == (Holds.YES, "0 of 2", [])
    few = {key: {number: ns for number, ns in by.items() if number < 4} for key, by in costs(1.03).items()}
    assert carry_over.judged(few)[0][0].text == "0 of 2, 2 open"
    assert carry_over.judged({})[0][0].holds is Holds.CANNOT_TELL
