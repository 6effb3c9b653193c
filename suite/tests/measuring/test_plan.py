# SPDX-License-Identifier: BSD-3-Clause
"""Which cells a request comes to."""

from __future__ import annotations

import pytest

from allocmark import plugins
from allocmark.errors import UsageError
from allocmark.measuring.plan import make_plan
from allocmark.measuring.request import Request
from allocmark.results.records import RecordError
from allocmark.system import machine


def labels(*backends: str, floor: bool = True, verify: bool = False) -> list[str]:
    request = Request(workloads=["burst"], backends=backends, short=True, verify=verify)
    plan = make_plan(request, plugins.load(), floor=floor)
    (found,) = {tuple(cell.backend.label for cell in case.cells) for case in plan.cases}
    assert all(tuple(cell.label for cell in case.record.cells) == found for case in plan.cases)
    return list(found)


def test_the_floor_is_in_every_case_unless_it_is_not_wanted():
    assert labels("glibc") == ["null:default", "glibc:default"]
    assert labels("glibc", "null") == ["null:default", "glibc:default"]
    assert labels("glibc", floor=False) == ["glibc:default"]
    assert labels("glibc", "null", floor=False) == ["glibc:default", "null:default"]  # it was asked for by name
    assert labels("glibc", "null", verify=True) == ["glibc:default"]


def test_a_request_is_read_back():
    request = Request(
        ["burst"], ["glibc"], overrides={"bulk": ["1", "2"]}, passes=["reuse"], sample_ms=2.5, budget=90.0
    )
    assert Request.from_json(request.to_json()) == request


@pytest.mark.parametrize(
    "spoil", [{"blocks": "x"}, {"rounds": 1.5}, {"blocks": True}, {"verify": 0}, {"workloads": "burst"}]
)
def test_settings_of_another_type_are_refused(spoil):
    with pytest.raises(RecordError, match=f"^{next(iter(spoil))}: expected "):
        Request.from_json(Request().to_json() | spoil)


def test_an_unknown_backend_is_refused():
    with pytest.raises(UsageError, match="no backend is called 'glibd'; did you mean 'glibc'"):
        labels("glibd", floor=False)


@pytest.mark.parametrize(
    ("online", "node", "reason"),
    [
        ("0", "1", "pool 'mbuf': this machine has no NUMA node 1"),
        ("0", "0", None),
        ("0-1", "1", "honours no NUMA node, and pool 'mbuf' asks for node 1: leave out node"),
    ],
)
def test_a_pool_on_a_numa_node(online, node, reason, monkeypatch):
    monkeypatch.setattr(machine, "numa_nodes", lambda: machine.parse_cpu_list(online))
    overrides = {"pools.mbuf.node": [node]}
    request = Request(workloads=["burst"], backends=["glibc"], short=True, overrides=overrides)
    for case in make_plan(request, plugins.load()).cases:
        floor, glibc = (cell.backend.unavailable for cell in case.cells)
        assert floor is None
        assert (glibc and glibc.reason) == reason
