# SPDX-License-Identifier: BSD-3-Clause
"""Measures the cases of a request on every kind of machine of a fleet, from the first question to the last run file."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from allocmark.errors import RunFileError, UsageError
from allocmark.fleet import duty
from allocmark.fleet.assignment import Assignment
from allocmark.fleet.folder import Fleet, FleetFolder, Member, by_kind
from allocmark.measuring.schedule import Progress
from allocmark.results.records import PlannedCase, RecordError, typed
from allocmark.results.summary import ratios_of

DESCRIBE_SECONDS = 120.0  #: until a machine must have said what it is
LATE = 3.0  #: a machine that takes so many times as long as a case may take counts as lost, ...
GRACE = 60.0  #: ... and so many seconds more

Answers = Mapping[str, Mapping[str, Any]]


class Machines(Protocol):
    """What a campaign needs of `allocmark.fleet.link.Link`."""

    def machines(self) -> list[str]: ...
    def ask(self, machine: str, duty: Mapping[str, Any]) -> None: ...
    def answers(self, seconds: float) -> Answers: ...
    def forget(self, machines: list[str]) -> None: ...


class Campaign:
    """One run over a fleet. ``say`` is given a line for people, ``report`` where the work is."""

    def __init__(
        self,
        link: Machines,
        folder: FleetFolder,
        say: Callable[[str], None],
        report: Callable[[Progress], None],
        limit: float | None = None,
    ) -> None:
        """``limit``: seconds after which a machine that has not answered counts as lost; None: by what is expected."""
        self._link = link
        self._folder = folder
        self._say = say
        self._report = report
        self._limit = limit
        self._lost: list[str] = []

    def run(self, fleet: Fleet) -> Fleet:
        """Measure what is not home yet. UsageError when it cannot begin; what comes home is kept at once."""
        described = self._describe(fleet)
        fleet = _with(fleet, described)
        self._folder.write(fleet)
        home = by_kind(fleet, self._folder.measured(fleet))
        wanted = {kind: [title for title in titles if title not in home[kind]] for kind, titles in fleet.cases.items()}
        assignment = Assignment(wanted, {name: fleet.members[name].kind for name in described})
        orphans = [
            (kind, title, "no machine of its kind took part")
            for kind in wanted.keys() - {fleet.members[name].kind for name in described}
            for title in wanted[kind]
        ]
        try:
            self._measure(fleet, assignment, sum(map(len, wanted.values())))
        finally:  # what was lost is known after an interruption, too
            given_up = [*((g.kind, g.title, why) for g, why in assignment.given_up), *orphans]
            fleet = replace(fleet, given_up=given_up, lost=[*fleet.lost, *self._lost])
            self._folder.write(fleet)
        return fleet

    def _describe(self, fleet: Fleet) -> dict[str, Mapping[str, Any]]:
        """What each machine says of itself. The cases come from one machine of those that have the same ones."""
        names = self._link.machines()
        if not names:
            raise UsageError(
                "the scheduler has no workers: start `allocmark fleet worker ADDRESS` on each machine, and try again"
            )
        found = self._asked(fleet, names, "describe")
        for name, answer in found.items():
            if answer["versions"] != duty.versions():
                here, there = (f"allocmark {v['allocmark']}" for v in (duty.versions(), answer["versions"]))
                there += "" if here != there else " with another way of measuring"
                raise UsageError(f"{name} has {there}, and here is {here}: install the same on all machines")
        plans: dict[str, Mapping[str, Any]] = {}
        while asked := {each["plan"]: name for name, each in found.items() if each["plan"] not in plans}:
            told = self._asked(fleet, list(asked.values()), "cases")
            plans |= {found[name]["plan"]: answer for name, answer in told.items()}
            for name in asked.values() - told.keys():
                del found[name]
        if not found:
            raise UsageError("no machine of the fleet can measure this: the lines above say why")
        return {name: {**answer, **plans[answer["plan"]]} for name, answer in found.items()}

    def _asked(self, fleet: Fleet, names: Sequence[str], what: str) -> dict[str, Mapping[str, Any]]:
        """The answers of those that have one; of the others a line is said."""
        for name in names:
            self._link.ask(name, {"do": what, "request": fleet.request, "baseline": fleet.baseline})
        found: dict[str, Mapping[str, Any]] = {}
        deadline = time.monotonic() + DESCRIBE_SECONDS
        while len(found) < len(names) and time.monotonic() < deadline:
            self._report(Progress(0.0, "asking the machines", f"{len(found)} of {len(names)}"))
            found |= self._link.answers(1.0)
        silent = [name for name in names if name not in found]
        self._link.forget(silent)
        for name in silent:
            self._lose(f"{name} is left out: it does not answer")
        for name, answer in list(found.items()):
            if why := answer.get("error") or answer.get("lost"):
                self._lose(f"{name} is left out: {why}")
                del found[name]
        return found

    def _measure(self, fleet: Fleet, assignment: Assignment, cases: int) -> None:
        begun: dict[str, float] = {}
        done = 0
        while True:
            for name in [name for name in assignment.machines if name not in assignment.busy]:
                if given := assignment.next_for(name):
                    ask = {"title": given.title, "ratios": fleet.ratios}
                    begun[name] = time.monotonic()
                    self._link.ask(name, {"do": "measure", "request": fleet.request, "baseline": fleet.baseline, **ask})
            if not assignment.busy:
                return
            self._report(Progress(done / cases, f"{done} of {cases} cases are home", f"{len(assignment.busy)} at work"))
            for name, answer in self._link.answers(1.0).items():
                if "lost" in answer:
                    self._end(assignment, name, answer["lost"])
                    continue
                title = assignment.busy[name].title
                try:
                    if "error" in answer:
                        raise RunFileError(answer["error"])
                    self._folder.keep(name, title, duty.run_file(answer))
                except (RunFileError, KeyError, ValueError) as error:
                    assignment.failed(name, str(error))
                    self._say(f"{name}: {title} failed: {error}")
                else:
                    assignment.done(name)
                    done += 1
            for name, given in list(assignment.busy.items()):
                limit = self._limit or LATE * fleet.cases[given.kind][given.title] + GRACE
                if time.monotonic() - begun[name] > limit:
                    self._link.forget([name])
                    self._end(assignment, name, f"did not answer for {limit:.0f} s")

    def _end(self, assignment: Assignment, name: str, why: str) -> None:
        given = assignment.busy.get(name)
        self._lose(f"{name} is lost ({why}){f', and with it {given.title}' if given else ''}")
        assignment.lost(name, why)

    def _lose(self, line: str) -> None:
        """A machine is lost or refused, which is said now and kept."""
        self._say(line)
        self._lost.append(line)


def _with(fleet: Fleet, described: Mapping[str, Mapping[str, Any]]) -> Fleet:
    """The fleet, and what its machines said of themselves.

    Machines whose facts and cases are the same are of one kind, and share its cases, unless ``each`` measures all.
    """
    members = dict(fleet.members)
    cases = {kind: dict(titles) for kind, titles in fleet.cases.items()}
    ratios = 0
    alike: dict[str, tuple[Any, ...]] = {}
    for name, answer in sorted(described.items()):
        facts = (answer["machine"], answer["plan"])
        kind = name if fleet.each else _kind(answer["machine"], facts, alike)
        if kind not in alike:
            try:
                planned = [typed(PlannedCase, each) for each in answer["cases"]]
            except RecordError as error:
                raise UsageError(f"{name} describes its cases in another way: {error}") from error
            alike[kind] = facts
            cases[kind] = dict(zip((case.title for case in planned), answer["seconds"], strict=True))
            ratios += ratios_of(planned)
        members[name] = Member(kind, answer["machine"], answer["left_out"])
    return replace(fleet, members=members, cases=cases, ratios=max(ratios, fleet.ratios))


def _kind(machine: Mapping[str, Any], facts: tuple[Any, ...], alike: Mapping[str, tuple[Any, ...]]) -> str:
    """In words; a number tells kinds apart that the words do not."""
    words = f"{machine.get('cpu') or machine.get('architecture')}, {machine.get('cpus')} CPUs"
    number = 1
    while (kind := words if number == 1 else f"{words} ({number})") in alike and alike[kind] != facts:
        number += 1
    return kind
