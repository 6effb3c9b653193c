# SPDX-License-Identifier: BSD-3-Clause
"""What the forms of a validation ask for can be planned here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from allocmark.discovery import discover
from allocmark.measuring.plan import make_plan
from allocmark.validate.forms import DEFAULT, FULL, QUICK, Form
from allocmark.validate.repeatability import CASES, ONE_CORE
from allocmark.validate.workbench import SHORT, Workbench, cores

HOST = discover()


def bench(form: Form) -> Workbench:
    return Workbench(form, HOST, Path("unused"), lambda _: None)


@pytest.mark.parametrize(("workload", "overrides"), [*CASES, ONE_CORE])
def test_each_of_the_repeated_is_one_case(workload: str, overrides: Mapping[str, Sequence[str]]) -> None:
    if workload == "cross_core_free" and cores() < 2:
        pytest.skip("needs two cores")
    plan = make_plan(bench(DEFAULT).request([workload], overrides, ["null"]), HOST)
    assert len(plan.cases) == 1


def test_six_cases_are_repeated() -> None:
    assert len(CASES) == DEFAULT.repeated_cases == FULL.repeated_cases


def test_only_the_full_form_has_all_cases() -> None:
    assert [bench(form).request(form.floor, {}, ["null"]).short for form in (QUICK, DEFAULT, FULL)] == [
        True,
        True,
        False,
    ]
    assert not bench(QUICK).request(["burst"], SHORT, ["null"]).short  # its parameters are all given


def test_no_two_runs_have_the_same_layouts() -> None:
    made = bench(QUICK)
    assert len({made.request(["burst"], SHORT, ["null"]).seed for _ in range(5)}) == 5


def test_pools_come_before_allocators_of_any_size() -> None:
    sizes = [registered.backend.capabilities.any_size for registered in bench(FULL).backends(99)]
    assert sizes
    assert sizes == sorted(sizes)
    assert bench(FULL).backends(1) == bench(FULL).backends(99)[:1]
