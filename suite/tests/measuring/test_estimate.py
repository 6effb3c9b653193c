# SPDX-License-Identifier: BSD-3-Clause
"""How long a run is said to take, and which budgets are refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from allocmark import installed
from allocmark.errors import UsageError
from allocmark.measuring.case_plan import CasePlan
from allocmark.measuring.estimate import case_seconds, check_budget, round_seconds, run_seconds
from allocmark.measuring.plan import make_plan
from allocmark.measuring.request import Request
from allocmark.stats import LOOKS, least_rounds

REQUEST = Request(["burst"], ["glibc", "glibc:no_tcache"], short=True, overrides={"bulk": ["8"]}, passes=("latency",))


@pytest.fixture(scope="module")
def cases() -> Sequence[CasePlan]:
    return make_plan(REQUEST, installed.load()).cases


def test_a_run_takes_from_the_first_look_to_the_last(cases: Sequence[CasePlan]) -> None:
    first, least, most = (sum(case_seconds(case, REQUEST, n) for case in cases) for n in (3, LOOKS[0], LOOKS[-1]))
    assert first < least < most
    assert run_seconds(cases, REQUEST) == pytest.approx((least, most))
    assert run_seconds(cases, replace(REQUEST, rounds=3)) == pytest.approx((first, first))
    assert run_seconds(cases, replace(REQUEST, budget=most - 1)) == pytest.approx((least, most - 1))


def test_samples_and_passes_are_counted(cases: Sequence[CasePlan]) -> None:
    one = round_seconds(cases[0], REQUEST)
    assert round_seconds(cases[0], replace(REQUEST, blocks=100)) > one
    assert round_seconds(cases[0], replace(REQUEST, passes=())) < one
    assert round_seconds(cases[0], REQUEST, number=100) < one  # no latency any more


def test_a_budget_has_room_for_a_verdict_or_is_refused(cases: Sequence[CasePlan]) -> None:
    # One ratio in each case.
    needed = sum(case_seconds(case, REQUEST, least_rounds(len(cases))) for case in cases)
    check_budget(cases, replace(REQUEST, budget=needed + 1))
    check_budget(cases, REQUEST)
    with pytest.raises(UsageError, match=r"--budget 1s is too small: \d+ rounds of each case.* give --budget \d+s"):
        check_budget(cases, replace(REQUEST, budget=1.0))
    # So few rounds as were asked for give no verdict anyway.
    check_budget(cases, replace(REQUEST, rounds=1, budget=needed / 3))
