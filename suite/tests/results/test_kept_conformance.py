# SPDX-License-Identifier: BSD-3-Clause
"""Tables and pages cite the newest verdict of the acceptance kit, and mark what was not checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from allocmark.output.html.pages.backend_page import backend_page
from allocmark.output.html.run_view import View
from allocmark.output.text.run_table import render
from allocmark.results.kept_conformance import KeptVerdict, kept_verdicts, told, verdicts_file
from allocmark.results.store import Run
from fixtures.simulated import MACHINE, VERSIONS

PASSED = KeptVerdict("2026-11-30T12:00:00+00:00", VERSIONS["glibc"], True, 27, 0, 5_000_000)
FAILED = KeptVerdict("2026-11-30T12:00:00+00:00", VERSIONS["turbomem"], False, 27, 2, 4_000_000)
OLD = KeptVerdict("2026-11-30T12:00:00+00:00", "1.0", True, 27, 0, 5_000_000)
KEPT = {"glibc:default": PASSED, "turbomem:default": FAILED, "dpdk_ring:ring_mp_mc": OLD}

Simulate = Callable[..., Run]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    file = verdicts_file(MACHINE)
    file.parent.mkdir()
    file.write_bytes(msgspec.json.encode(KEPT))


def test_a_verdict_is_about_one_version() -> None:
    assert told(PASSED, VERSIONS["glibc"]) == "passed"
    assert told(FAILED, VERSIONS["turbomem"]) == "failed 2 of 27 cases"
    assert told(OLD, "2.0") == "not checked in version 2.0"
    assert told(None, "2.0") == "not checked"


def test_the_head_of_a_table_cites_it(simulate: Simulate) -> None:
    head = " ".join(render(simulate()).split("\n\n")[0].split())
    assert (
        "acceptance kit: glibc:default passed; glibc:no-tcache, dpdk_ring:lf_stack not checked; "
        "dpdk_ring:ring_mp_mc not checked in version 22.11.11; turbomem failed 2 of 27 cases "
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
    rows = [{"backend": "glibc:default", "case": "counting", "verdict": "passed", "why": "", "calls": 5_000_000}]
    assert "1 of 1 case passed" in backend_page(view, "glibc", rows)["conformance"]
    assert "1 of 1,085,736 calls" in backend_page(view, "glibc", rows)["conformance"]
    assert "Not checked on this machine" in backend_page(None, "glibc")["conformance"]


@pytest.mark.parametrize("text", ["{", "[]", '{"glibc:default": {"created": 1}}'])
def test_what_cannot_be_read_is_not_cited(text: str) -> None:
    verdicts_file(MACHINE).write_text(text)
    assert kept_verdicts(MACHINE) == {}
