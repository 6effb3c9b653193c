# SPDX-License-Identifier: BSD-3-Clause
"""Which cells a request comes to."""

from __future__ import annotations

import pytest

from allocmark import installed
from allocmark.backend import Backend, Capabilities
from allocmark.errors import UsageError
from allocmark.measuring.plan import make_plan, select_backends
from allocmark.measuring.request import Request
from allocmark.plugins import Entry, Host, Registered
from allocmark.results.records import RecordError
from allocmark.system import machine


def backend(name: str, variant: str, *, any_size: bool = False, **more: bool) -> Backend:
    return Backend(name, variant, "", "1", table=8, capabilities=Capabilities(any_size=any_size), **more)


def labels(*backends: str, floor: bool = True, verify: bool = False) -> list[str]:
    request = Request(workloads=["burst"], backends=backends, short=True, verify=verify)
    plan = make_plan(request, installed.load(), floor=floor)
    (found,) = {tuple(cell.backend.label for cell in case.cells) for case in plan.cases}
    assert all(tuple(cell.label for cell in case.record.cells) == found for case in plan.cases)
    return list(found)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("timeout", value) for value in (0, -1, 1e300)),
        *(("sample_ms", value) for value in (0, 1e300)),
        *(("rounds", 0), ("blocks", 10**9), ("budget", -5), ("seed", -1), ("pin", "x"), ("workloads", [1])),
    ],
)
def test_settings_of_a_run_file_that_nobody_asked_for_are_refused(name: str, value: object) -> None:
    settings = Request(workloads=["burst"], backends=["glibc"], passes=[]).to_json()
    assert Request.from_json(settings).to_json() == settings
    with pytest.raises(RecordError, match=name):
        Request.from_json(settings | {name: value})


def test_the_floor_is_in_every_case_unless_it_is_not_wanted():
    assert labels("glibc") == ["null:default", "glibc:default"]
    assert labels("glibc", "null") == ["null:default", "glibc:default"]
    assert labels("glibc", floor=False) == ["glibc:default"]
    assert labels("glibc", "null", floor=False) == ["glibc:default", "null:default"]  # it was asked for by name
    assert labels("glibc", "null", verify=True) == ["glibc:default"]


def test_a_group_selects_what_the_default_comparison_leaves_out():
    host = Host(
        backends=[
            Registered(backend(name, variant, **more), Entry("plugin", "plugin", "distribution 1"))
            for name, variant, more in [
                ("floor", "default", {"floor": True, "default": True, "any_size": True}),
                ("pool", "one", {}),
                ("pool", "two", {"default": True}),
                ("heap", "default", {"any_size": True}),
                ("other", "v1", {"any_size": True, "on_request": True, "default": True}),
                ("other", "v2", {"any_size": True, "on_request": True, "default": True}),
                ("other", "v2_odd", {"any_size": True, "on_request": True}),
            ]
        ]
    )

    def chosen(*backends: str, group: str = "") -> list[str]:
        found = select_backends(host, Request(backends=backends, group=group), floor=False)
        return [registered.backend.label for registered in found]

    assert chosen() == ["pool:two", "heap:default"]
    assert chosen(group="malloc") == ["heap:default", "other:v1", "other:v2"]
    assert chosen(group="pools") == ["pool:two"]
    assert chosen(group="all") == ["pool:two", "heap:default", "other:v1", "other:v2"]
    assert chosen("pool:*", group="malloc") == ["heap:default", "other:v1", "other:v2", "pool:one", "pool:two"]
    assert chosen("other") == ["other:v1", "other:v2"]


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
    for case in make_plan(request, installed.load()).cases:
        floor, glibc = (cell.backend.unavailable for cell in case.cells)
        assert floor is None
        assert (glibc and glibc.reason) == reason
