# SPDX-License-Identifier: BSD-3-Clause
"""Twins of installed backends and of built libraries, run by the real measuring."""

from __future__ import annotations

import subprocess

import pytest

from allocmark.discovery import discover
from allocmark.engine import null_table, twin
from allocmark.engine.session import Engine
from allocmark.errors import RefusedError
from allocmark.measuring.plan import make_plan
from allocmark.measuring.request import Request
from allocmark.measuring.schedule import CaseRun
from allocmark.plugins import Host
from allocmark.results.records import MeasuredCell
from allocmark.stats import median
from allocmark.system import machine
from allocmark.validate.rebuilt import build, compiler
from allocmark.validate.twins import Twin, host_of
from allocmark.validate.workbench import SHORT
from allocmark.workload.language.find import find_workload
from allocmark.workload.tape.compile import compile_workload

BURST = SHORT | {"bulk": ["32"]}
FUNCTIONS = {"init", "pool_create", "pool_destroy", "thread_enter", "thread_leave", "get_bulk", "put_bulk"}
FUNCTIONS |= {"available", "regions"}


def measured(host: Host, labels: list[str], verify: bool = False) -> list[MeasuredCell]:
    request = Request(["burst"], labels, BURST, verify=verify, blocks=3, sample_ms=1)
    (plan,) = make_plan(request, host, floor=False).cases
    done = CaseRun(plan, request, 0).run(lambda _: None)
    assert done
    assert [cell.reason for cell in done.cells] == [None] * len(labels)
    return list(done.cells)


@pytest.mark.long
def test_every_backend_has_twins_that_work(tmp_path):
    """With every object checked."""
    here = [r for r in discover().backends if r.backend.default and not r.backend.floor and not r.backend.unavailable]
    assert here
    for index, registered in enumerate(here):
        twins = [Twin.of(registered, "first"), Twin.of(registered, "second", 100)]
        host = host_of(twins, tmp_path / str(index))
        cells = measured(host, [each.name for each in twins], verify=True)
        assert [cell.label for cell in cells] == ["twin:first", "twin:second"]
        assert {cell.version for cell in cells} == {registered.backend.version}


def test_what_is_planted_costs(tmp_path):
    """So much that no busy machine hides it: with 64 calls, 200,000 multiplications are 3,000 a call."""
    glibc = next(r for r in discover().backends if r.backend.name == "glibc" and r.backend.default)
    twins = [Twin.of(glibc, "plain"), Twin.of(glibc, "planted", 200_000)]
    plain, planted = measured(host_of(twins, tmp_path / "twins"), [each.name for each in twins])
    assert median(planted.samples) > 2 * median(plain.samples)


def test_a_twin_without_its_options_is_refused():
    table, options = twin(null_table())
    (case,) = find_workload("burst").cases(BURST)
    for wrong in ({}, {"twin.table": "here"}, {**options, "twin.planted": "-1"}):
        with pytest.raises(RefusedError, match=r"a twin needs twin\.table"):
            Engine(table, wrong, compile_workload(case.workload, 1), [(machine.usable_cpus()[0], -1)])


@pytest.mark.skipif(compiler() is None, reason="there is no C compiler")
def test_builds_of_one_source_differ_only_in_their_places(tmp_path):
    twins = build(tmp_path / "built", 3)
    orders = []
    for each in twins:
        listed = subprocess.run(["nm", "-n", each.library], capture_output=True, text=True, check=True).stdout
        orders.append([line.split()[-1] for line in listed.splitlines() if line.split()[-1] in FUNCTIONS])
    assert {frozenset(order) for order in orders} == {frozenset(orders[0])}
    assert set(orders[0]) == FUNCTIONS
    assert len({tuple(order) for order in orders}) > 1
    measured(host_of(twins, tmp_path / "twins"), [each.name for each in twins], verify=True)
