# SPDX-License-Identifier: BSD-3-Clause
"""Tables and pages cite the newest verdict of the acceptance kit, and mark what was not checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from allocmark.output.html.pages.backend_page import backend_page
from allocmark.output.html.run_view import View
from allocmark.output.text.run_table import render
from allocmark.results.kept_conformance import KeptVerdict, kept_verdicts, one_build, told, verdicts_file
from allocmark.results.records import MeasuredCell
from allocmark.results.store import Run
from fixtures.simulated import MACHINE, VERSIONS, build_id

GLIBC, TURBOMEM, RING, STACK = "glibc:default", "turbomem:default", "dpdk_ring:ring_mp_mc", "dpdk_ring:lf_stack"


def verdict(label: str, **other: Any) -> KeptVerdict:
    """That of a kit that passed what `simulate` measures."""
    version = VERSIONS[label.partition(":")[0]]
    passed = KeptVerdict("2026-11-30T12:00:00+00:00", version, True, 27, 0, 5_000_000, (build_id(label), "c0"))
    return replace(passed, **other)


PASSED = verdict(GLIBC)
FAILED = verdict(TURBOMEM, passed=False, failed=2)
OLD = verdict(RING, version="1.0")
KEPT = {GLIBC: PASSED, TURBOMEM: FAILED, RING: OLD, STACK: verdict(STACK, builds=("another", "c0"))}

Simulate = Callable[..., Run]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    file = verdicts_file(MACHINE)
    file.parent.mkdir()
    file.write_bytes(msgspec.json.encode(KEPT))


def measured(version: str, *builds: str) -> MeasuredCell:
    attestation = {"builds": {build: f"/opt/{build}.so" for build in builds}}
    return MeasuredCell(
        case=0, workload="burst", parameters={}, backend="so", variant="qp", floor=False, version=version, status="ok",
        objects=1, samples=[1.0], blocks=[0], attestation=attestation,
    )  # fmt: skip


def test_a_verdict_is_about_one_version() -> None:
    own = build_id(GLIBC)
    assert told(PASSED, measured(PASSED.version, own)) == "passed"
    assert told(FAILED, measured(FAILED.version, build_id(TURBOMEM))) == "failed 2 of 27 cases"
    assert told(OLD, measured("2.0", build_id(RING))) == "not checked in version 2.0"
    assert told(OLD, measured("", build_id(RING))) == "not checked in this version"
    assert told(None, measured("2.0", own)) == "not checked"


@pytest.mark.parametrize(
    ("checked", "ran", "said"),
    [
        (("a", "c"), ("a", "c"), "passed"),
        (("a", "b", "c"), ("a", "c"), "passed"),  # the kit had it call another library as well
        (("a", "c"), ("b", "c"), "not checked in this build"),
        (("a",), ("a", "c"), "not checked in this build"),
        ((), ("a", "c"), "not checked in this build"),  # kept by an older allocmark
        (("a", "c"), (), "not checked in this build"),  # measured by an older one
    ],
)
def test_a_verdict_is_about_one_build(checked: tuple[str, ...], ran: tuple[str, ...], said: str) -> None:
    assert told(verdict(GLIBC, version="", builds=checked), measured("", *ran)) == said


def test_a_file_that_was_replaced_while_the_kit_ran_is_of_no_build() -> None:
    assert one_build([{"a": "/liba.so", "c": "/libc.so"}, {}, {"a": "/liba.so"}]) == ("a", "c")
    assert one_build([{"a": "/liba.so", "c": "/libc.so"}, {"b": "/liba.so"}]) == ()


def test_the_head_of_a_table_cites_it(simulate: Simulate) -> None:
    head = " ".join(render(simulate()).split("\n\n")[0].split())
    assert (
        "acceptance kit: glibc:default passed; glibc:no-tcache not checked; "
        "dpdk_ring:ring_mp_mc not checked in version 22.11.11; dpdk_ring:lf_stack not checked in this build; "
        "turbomem failed 2 of 27 cases "
        "(allocmark conform NAME)"
    ) in head


def test_another_machine_has_its_own(simulate: Simulate) -> None:
    head = render(simulate(machine={"cpu": "another"})).split("\n\n")[0]
    assert "passed" not in head
    assert "not checked" in head


def test_the_page_of_a_backend_cites_it(simulate: Simulate) -> None:
    view = View.of(simulate())
    page = backend_page(view, "glibc")
    assert page["conformance"] == (
        "glibc:default, version 2.36, passed on 2026-11-30: 5,000,000 calls were checked, which finds a fault in 1 of "
        "1,085,736 calls with 99 %."
    )
    variants = page["variants"]
    at = [column.title for column in variants.columns].index("acceptance kit")
    assert [(row[at].text, row[at].tone) for row in variants.rows] == [("passed", "good"), ("not checked", "muted")]
    ring = backend_page(view, "dpdk_ring")
    assert "dpdk_ring:lf_stack, version 22.11.11 in another build than was measured, passed on" in ring["conformance"]
    (row,) = (row for row in ring["variants"].rows if row[0].text == "lf_stack")
    assert (row[at].text, row[at].tone) == ("not checked in this build", "muted")
    rows = [{"backend": "glibc:default", "case": "counting", "verdict": "passed", "why": "", "calls": 5_000_000}]
    assert "1 of 1 case passed" in backend_page(view, "glibc", rows)["conformance"]
    assert "1 of 1,085,736 calls" in backend_page(view, "glibc", rows)["conformance"]
    assert "Not checked on this machine" in backend_page(None, "glibc")["conformance"]


@pytest.mark.parametrize("text", ["{", "[]", '{"glibc:default": {"created": 1}}'])
def test_what_cannot_be_read_is_not_cited(text: str) -> None:
    verdicts_file(MACHINE).write_text(text)
    assert kept_verdicts(MACHINE) == {}
