# SPDX-License-Identifier: BSD-3-Clause
"""A campaign with machines that answer at once, or never."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from allocmark.errors import UsageError
from allocmark.fleet.campaign import Campaign
from allocmark.fleet.folder import Fleet, FleetFolder, new_fleet
from allocmark.fleet.summaries import summarise_fleet
from allocmark.measuring.request import Request
from allocmark.output.text.fleet_rows import agreement
from allocmark.output.text.fleet_table import fleet_table
from allocmark.stats import Verdict
from proofs.fleet_overhead import work

CASES = 6


class Pretended:
    """Machines by name; ``silent`` ones do not measure, ``odd`` ones spoil what they send,
    ``ending`` ones end when they are asked for their cases."""

    def __init__(
        self,
        kinds: Mapping[str, str],
        silent: tuple[str, ...] = (),
        odd: tuple[str, ...] = (),
        ending: tuple[str, ...] = (),
    ) -> None:
        self.kinds = kinds
        self.silent = silent
        self.odd = odd
        self.ending = ending
        self.asked: dict[str, Mapping[str, Any]] = {}
        self.told: list[tuple[str, str]] = []

    def machines(self) -> list[str]:
        return sorted(self.kinds)

    def ask(self, machine: str, duty: Mapping[str, Any]) -> None:
        assert machine not in self.asked  # one thing at a time
        self.told.append((machine, duty["do"]))
        self.asked[machine] = duty

    def answers(self, seconds: float) -> dict[str, dict[str, Any]]:
        found = {}
        for machine, duty in list(self.asked.items()):
            if duty["do"] == "measure" and machine in self.silent:
                continue
            if duty["do"] == "cases" and machine in self.ending:
                del self.asked[machine]
                found[machine] = {"lost": "its worker ended"}
                continue
            del self.asked[machine]
            answer = work(duty)
            if duty["do"] == "describe":
                answer["machine"] = {"cpu": self.kinds[machine], "cpus": 2}
            elif duty["do"] == "measure" and machine in self.odd:
                data = base64.b85decode(answer["run"])
                answer["run"] = base64.b85encode(data[: len(data) // 2]).decode()
            found[machine] = answer
        return found

    def forget(self, machines: list[str]) -> None:
        for machine in machines:
            self.asked.pop(machine, None)


def ran(link: Pretended, folder: Path, limit: float | None = None, each: bool = False) -> tuple[Fleet, list[str]]:
    said: list[str] = []
    fleet = new_fleet([], Request(seed=CASES), None, each)
    done = Campaign(link, FleetFolder(folder), said.append, lambda _: None, limit).run(fleet)
    return done, said


def home(folder: Path) -> dict[str, int]:
    return {machine.name: len(list(machine.glob("*/run.jsonl"))) for machine in folder.iterdir() if machine.is_dir()}


def table_of(folder: Path) -> str:
    return fleet_table(summarise_fleet(FleetFolder(folder)), width=1000)


def test_every_kind_measures_every_case_once(tmp_path: Path) -> None:
    fleet, said = ran(Pretended({"a": "zen", "b": "zen", "c": "arm"}), tmp_path)
    assert (fleet.given_up, said) == ([], [])
    assert home(tmp_path) == {"a": CASES / 2, "b": CASES / 2, "c": CASES}
    # Two cells besides the floor, hence one ratio, in each case of each kind.
    assert fleet.ratios == 2 * CASES
    table = table_of(tmp_path)
    assert "A: zen, 2 CPUs (a, b)\n" in table
    assert table.count("baseline") >= 2 * CASES
    assert "cannot tell on all 2" in table


def test_one_of_the_machines_with_the_same_cases_tells_them(tmp_path: Path) -> None:
    """A thousand machines that tell ten thousand cases each would not fit into memory."""
    link = Pretended({f"m{number}": "zen" for number in range(9)} | {"c": "arm"}, ending=("m8",))
    fleet, said = ran(link, tmp_path)
    assert [machine for machine, what in link.told if what == "cases"] == ["m8", "m7"]
    assert said == ["m8 is left out: its worker ended"]
    assert set(fleet.members) == {"c", *(f"m{number}" for number in range(8))}
    assert {kind: len(titles) for kind, titles in fleet.cases.items()} == {"zen, 2 CPUs": CASES, "arm, 2 CPUs": CASES}


def test_each_machine_may_measure_everything(tmp_path: Path) -> None:
    ran(Pretended({"a": "zen", "b": "zen"}), tmp_path, each=True)
    assert home(tmp_path) == {"a": CASES, "b": CASES}


def test_a_machine_that_does_not_answer_in_time_is_lost(tmp_path: Path) -> None:
    fleet, said = ran(Pretended({"good": "zen", "slow": "zen"}, silent=("slow",)), tmp_path, limit=0.05)
    assert fleet.given_up == []
    assert home(tmp_path) == {"good": CASES}
    assert [text for text in said if "slow is lost (did not answer for 0 s), and with it burst" in text]
    # It is known afterwards, too.
    assert list(FleetFolder(tmp_path).read().lost) == said
    assert said[0] in table_of(tmp_path)


def test_without_a_machine_of_its_kind_a_case_is_given_up_and_said(tmp_path: Path) -> None:
    fleet, _ = ran(Pretended({"good": "zen", "slow": "arm"}, silent=("slow",)), tmp_path, limit=0.05)
    assert home(tmp_path) == {"good": CASES}
    assert {kind for kind, _, _ in fleet.given_up} == {"arm, 2 CPUs"}
    assert len(fleet.given_up) == CASES
    assert f"Not measured: {CASES} cases" in table_of(tmp_path)
    # Another machine of that kind measures them later.
    again = Campaign(Pretended({"new": "arm"}), FleetFolder(tmp_path), print, lambda _: None).run(
        FleetFolder(tmp_path).read()
    )
    assert again.given_up == []
    assert home(tmp_path) == {"good": CASES, "new": CASES}


def test_a_run_file_that_arrives_damaged_is_not_kept(tmp_path: Path) -> None:
    fleet, said = ran(Pretended({"odd": "zen"}, odd=("odd",)), tmp_path)
    assert home(tmp_path) == {"odd": 0}
    assert len(fleet.given_up) == CASES
    assert "not whole" in said[0]


def test_no_machine(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no workers"):
        ran(Pretended({}), tmp_path)


def test_verdicts_are_counted() -> None:
    faster, slower, cannot_tell = Verdict.FASTER, Verdict.SLOWER, Verdict.CANNOT_TELL
    assert agreement([faster] * 4) == "faster on all 4"
    assert agreement([faster]) == "faster"
    assert agreement([faster, cannot_tell, faster, faster]) == "faster on 3 of 4, cannot tell on 1"
    assert agreement([slower, faster]) == "faster on 1 of 2, slower on 1"
    assert agreement([]) == ""
