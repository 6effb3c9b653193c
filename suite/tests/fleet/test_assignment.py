# SPDX-License-Identifier: BSD-3-Clause
"""Which machine measures what, when machines are lost."""

from __future__ import annotations

import random

from allocmark.fleet.assignment import TRIES, Assignment


def test_machines_of_a_kind_share_its_cases() -> None:
    found = Assignment({"zen": ["a", "b", "c"], "arm": ["a"]}, {"z1": "zen", "z2": "zen", "r1": "arm"})
    given = [found.next_for(name) for name in ("z1", "z2", "r1")]
    assert [(each.kind, each.title) for each in given if each] == [("zen", "a"), ("zen", "b"), ("arm", "a")]
    assert found.done("r1").title == "a"
    assert found.next_for("r1") is None
    assert found.done("z2").title == "b"
    third = found.next_for("z2")
    assert third
    assert third.title == "c"


def test_what_a_lost_machine_had_goes_to_another_of_its_kind_and_to_no_other() -> None:
    found = Assignment({"zen": ["a"], "arm": ["b"]}, {"z1": "zen", "z2": "zen", "r1": "arm"})
    assert found.next_for("z1")
    found.lost("z1", "its worker ended")
    again = found.next_for("z2")
    assert again
    assert (again.title, again.tries) == ("a", 1)
    found.lost("z2", "its worker ended")
    assert [(given.title, why) for given, why in found.given_up] == [("a", "its worker ended")]
    assert found.next_for("r1")


def test_a_case_that_ends_machines_is_given_up_before_it_ends_them_all() -> None:
    machines = {f"z{i}": "zen" for i in range(10)}
    found = Assignment({"zen": ["deadly"]}, machines)
    for i in range(TRIES):
        assert found.next_for(f"z{i}")
        found.lost(f"z{i}", "its worker ended")
    assert found.next_for("z9") is None
    assert len(found.given_up) == 1


def test_the_last_machine_of_a_kind_takes_what_waits_with_it() -> None:
    found = Assignment({"zen": ["a", "b", "c"]}, {"z1": "zen"})
    found.next_for("z1")
    found.lost("z1", "did not answer for 9 s")
    assert sorted(given.title for given, _ in found.given_up) == ["a", "b", "c"]
    assert all("did not answer" in why for _, why in found.given_up)


def test_every_case_is_measured_once_or_given_up_whatever_happens() -> None:
    draw = random.Random(7)
    for _ in range(200):
        kinds = ["zen", "arm", "intel"]
        cases = {kind: [f"{kind} {i}" for i in range(draw.randrange(20))] for kind in kinds}
        machines = {f"m{i}": draw.choice(kinds) for i in range(draw.randrange(1, 8))}
        cases = {kind: titles for kind, titles in cases.items() if kind in machines.values()}
        found = Assignment(cases, machines)
        measured: list[str] = []
        while True:
            for name in list(found.machines):
                if name not in found.busy:
                    found.next_for(name)
            if not found.busy:
                break
            name = draw.choice(list(found.busy))
            what = draw.random()
            if what < 0.1:
                found.lost(name, "gone")
            elif what < 0.2:
                found.failed(name, "refused")
            else:
                measured.append(found.done(name).title)
        ended = measured + [given.title for given, _ in found.given_up]
        assert sorted(ended) == sorted(title for titles in cases.values() for title in titles)
