# SPDX-License-Identifier: BSD-3-Clause
"""The models of the protocols hold in every interleaving; each mutant of theirs is caught."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from native_programs import ROOT
from spin import MODEL, verify

HOLDS = {
    "two threads on a stack": ("tagged_stack", ["OPERATIONS=3"]),
    "owner and reclaimer": ("claim", ["OPERATIONS=2"]),
    "owner and reclaimer, weakly ordered": ("claim", ["WEAK", "OPERATIONS=1"]),
    "depot, two threads": ("depot", ["OPERATIONS=6"]),
    "depot, spares in twos": ("depot", ["OPERATIONS=5", "SPARES_MOVED=2"]),
    "depot, a thread and a guest": ("depot", ["OPERATIONS=4", "GUESTS=1"]),
    "depot, too few magazines": ("depot", ["OPERATIONS=4", "GUESTS=1", "MAGAZINES=3"]),
}

#: some minutes, some gigabytes
HOLDS_LONG = {
    "two threads on a stack, longer": ("tagged_stack", []),
    "three threads on a stack": ("tagged_stack", ["THREADS=3", "OPERATIONS=2"]),
    "owner and two reclaimers": ("claim", ["THREADS=3", "OPERATIONS=1"]),
    "owner and reclaimer, longer": ("claim", []),
    "owner and reclaimer, weakly ordered, longer": ("claim", ["WEAK"]),
    "depot, a thread and a guest, longer": ("depot", ["OPERATIONS=7", "GUESTS=1"]),
    "depot, two threads and a guest": ("depot", ["THREADS=3", "OPERATIONS=2", "GUESTS=1"]),
}

#: threads may die at every point, and the others end
NOBODY_WAITS = {
    "stack": ("tagged_stack", ["OPERATIONS=3"]),
    "claim": ("claim", ["OPERATIONS=1"]),
    "depot": ("depot", ["OPERATIONS=3", "GUESTS=1", "MAGAZINES=3"]),
}

MUTANTS = {
    "no tag": ("tagged_stack", ["TAGS=1"], r"seen==3|holder\[node\]==0"),
    "tag that wraps": ("tagged_stack", ["TAGS=2"], r"holder\[node\]==0|seen==3"),
    "no process barrier": ("claim", ["NO_BARRIER", "OPERATIONS=2"], "gone<=here"),
    "look at the claim before the count is lowered": ("claim", ["LOOK_FIRST", "OPERATIONS=2"], "gone<=here"),
    "slow call leaves the cache open": ("claim", ["STAYS_OPEN", "OPERATIONS=2"], r"place\[previous\]"),
    "owner keeps a magazine that is copied": ("claim", ["KEEPS_MAGAZINE", "OPERATIONS=2"], "gone<=here"),
    "reclaimer leaves no word that it is done": ("claim", ["DONE_UNCHECKED", "OPERATIONS=2"], "gone<=here"),
    "one pass over the shards": ("depot", ["ONE_PASS", "OPERATIONS=5", "GUESTS=1"], "no_object"),
    "too few magazines": ("depot", ["MAGAZINES=3", "ENOUGH", "OPERATIONS=5", "GUESTS=1"], "violated got"),
    "partial magazines not topped up": ("depot", ["NO_TOP_UP", "OPERATIONS=8", "GUESTS=1"], "partial<=2"),
    "emptied magazine lost": ("depot", ["LOST_REST", "OPERATIONS=8", "GUESTS=1"], r"empties\[1\]\)=="),
}

MUTANTS_LONG = {
    "requests without a number": ("claim", ["NUMBERS=1", "THREADS=3", "OPERATIONS=1"], "seen"),
}

WAITING_MUTANTS = {
    "stack with a lock": ("tagged_stack", ["LOCKED", "OPERATIONS=3"]),
    "owner waits for the reclaimer": ("claim", ["WAITS", "OPERATIONS=1"]),
}


def with_long(cases: dict[str, Any], longer: dict[str, Any]) -> list[Any]:
    marks = [pytest.mark.long, pytest.mark.timeout(1800)]
    return [
        *(pytest.param(*case, False, id=name) for name, case in cases.items()),
        *(pytest.param(*case, True, id=name, marks=marks) for name, case in longer.items()),
    ]


@pytest.mark.parametrize(("model", "defines", "large"), with_long(HOLDS, HOLDS_LONG))
def test_nothing_is_lost_or_handed_out_twice(model: str, defines: list[str], large: bool, tmp_path: Path) -> None:
    found = verify(model, tmp_path, *defines, large=large)
    print(found)
    assert found.error == ""


@pytest.mark.parametrize("case", NOBODY_WAITS)
def test_nobody_waits_for_a_thread_that_stopped(case: str, tmp_path: Path) -> None:
    model, defines = NOBODY_WAITS[case]
    assert verify(model, tmp_path, "KILL", *defines, progress=True).error == ""


@pytest.mark.parametrize(("model", "defines", "says", "large"), with_long(MUTANTS, MUTANTS_LONG))
def test_mutant_is_caught(model: str, defines: list[str], says: str, large: bool, tmp_path: Path) -> None:
    found = verify(model, tmp_path, *defines, large=large)
    assert "assertion violated" in found.error, found
    assert re.search(says, found.error), found


@pytest.mark.parametrize("mutant", WAITING_MUTANTS)
def test_mutant_that_waits_is_caught(mutant: str, tmp_path: Path) -> None:
    model, defines = WAITING_MUTANTS[mutant]
    assert "non-progress cycle" in verify(model, tmp_path, "KILL", *defines, progress=True).error


#: of the code -> its model
MODELLED = {"tagged_stack": "tagged_stack", "claim": "claim", "cache": "claim"}


@pytest.mark.parametrize("header", MODELLED)
def test_model_has_the_points_of_the_code(header: str) -> None:
    """A step that is added to the code or renamed there is missed here."""
    code = (ROOT / "include" / "turbomem" / "exchange" / f"{header}.hpp").read_text()
    model = (MODEL / f"{MODELLED[header]}.pml").read_text()
    points = set(re.findall(r"TURBOMEM_POINT\((\w+)\)", code)) - {"size"}  # which only looks
    assert points
    assert points <= set(re.findall(r"\bPOINT\((\w+)\)", model))


def test_models_name_what_the_code_has() -> None:
    code = "".join(h.read_text() for h in (ROOT / "include" / "turbomem" / "exchange").glob("*.hpp"))
    for model, names in {
        "claim": ["settle", "abandon", "request", "surrender", "move_out", "open", "close", "leave", "set_previous"],
        "depot": [
            *("pop_empty", "push_full", "push_empty", "take_from_depot", "retire", "unload", "magazines_needed"),
            *("take", "take_fresh", "keep", "give_back"),
        ],
        "tagged_stack": ["push", "pop"],
    }.items():
        text = (MODEL / f"{model}.pml").read_text()
        for name in names:
            assert re.search(rf"\b{name}\(", text), f"{model}.pml has no {name}"
            assert re.search(rf"\b{name}\(", code), f"the headers have no {name}"


def test_model_of_depot_has_as_many_magazines_as_the_code() -> None:
    code = (ROOT / "include" / "turbomem" / "exchange" / "depot.hpp").read_text()
    assert "return objects / capacity + (5 + spares_kept) * (threads + guests_provided_for);" in code
    model = (MODEL / "depot.pml").read_text()
    assert "(OBJECTS / M + (5 + SPARES_KEPT) * THREADS)" in model  # its guests are among THREADS
