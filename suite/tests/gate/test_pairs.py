# SPDX-License-Identifier: BSD-3-Clause
"""What is compared, and what that does not happen to is worth."""

from __future__ import annotations

from pathlib import Path

import pytest

from allocmark.backend import Backend, Unavailable
from allocmark.errors import UsageError
from allocmark.gate.pairs import make_pairs
from allocmark.gate.revisions.build_backends import Built
from allocmark.gate.revisions.side import Side
from allocmark.measuring.request import Request
from allocmark.plugins import Entry, Host, Registered, load_entries

DIRS = load_entries(()).workload_dirs


def side(revision: str, files: str | None, reason: str | None = None, unavailable: str | None = None) -> Side:
    """A revision with one backend made of ``files``; with None it is not there, or not built for ``reason``."""
    backend = Backend(
        name="pool",
        variant="default",
        description="",
        version="1",
        table=None if unavailable else 8,
        unavailable=Unavailable(unavailable) if unavailable else None,
    )
    built = Built(
        name="pool", distribution="allocmark_pool", wheel=None if reason else Path("w"), log=Path("log"), reason=reason
    )
    floors = [r for r in load_entries(()).backends if r.backend.floor]
    there = [Registered(backend, Entry("pool", "pool", "allocmark-pool 1"))] if files else []
    return Side(
        revision=revision,
        commit="0" * 40,
        built=(built,) if files or reason else (),
        host=Host(backends=floors + there),
        prefix="/nowhere",
        files={"allocmark-pool": files} if files else {},
    )


def pairs(base: Side, head: Side, *backends: str, unchanged: bool = False):
    request = Request(workloads=["burst"], backends=list(backends), short=True, overrides={"cores": ["1"]})
    return make_pairs(base, head, request, DIRS, unchanged=unchanged)


def test_cells_have_both_sides():
    found = pairs(side("A", "1"), side("B", "2"))
    assert len(found.cells) == 4
    assert {pair.label for pair in found.cells} == {"pool:default"}
    assert all(len(pair.case.cells) == 2 for pair in found.cells)
    assert len({pair.key for pair in found.cells}) == 4
    assert not found.same + found.missing


def test_equal_files_are_not_measured_unless_asked_for():
    assert pairs(side("A", "1"), side("B", "1")).same == ("pool:default",)
    assert len(pairs(side("A", "1"), side("B", "1"), unchanged=True).cells) == 4


@pytest.mark.parametrize(
    ("base", "head", "named", "reason", "failure"),
    [
        (side("A", "1"), side("B", None, "error: no"), False, "B: error: no (log: log)", True),
        (side("A", None, "error: no"), side("B", "1"), False, "A: error: no (log: log)", True),
        (side("A", None), side("B", "1"), False, "A: not in this commit", False),
        (side("A", "1"), side("B", None), False, "B: not in this commit", False),
        (side("A", None), side("B", "1"), True, "A: not in this commit", True),
        (side("A", "1"), side("B", "2", unavailable="no pages"), False, "B: no pages", True),
        (side("A", "1", unavailable="x"), side("B", "2", unavailable="y"), False, "A: x; B: y", False),
        (side("A", "1", unavailable="x"), side("B", "2", unavailable="y"), True, "A: x; B: y", True),
        (side("A", None, "error: no"), side("B", None, "error: no"), False, "B: error: no (log: log)", False),
    ],
)
def test_what_is_missing_is_told_and_weighed(base, head, named, reason, failure):
    found = pairs(base, head, *(["pool"] if named else []))
    assert not found.cells
    assert {(missing.reason, missing.failure) for missing in found.missing} == {(reason, failure)}


def test_a_backend_that_built_nowhere_is_refused_by_name():
    broken = side("A", None, "error: no")
    with pytest.raises(UsageError, match=r"no backend is called 'pool'.*what did not build: pool at A: error: no"):
        pairs(broken, broken, "pool")
