# SPDX-License-Identifier: BSD-3-Clause
"""The exchange between threads: its promises, its schedules, and threads that are interrupted and die."""

from __future__ import annotations

import re

import pytest
from native_programs import Build, compiled, run

#: rounds, and steps of each thread in a round: a second or two in every build
LIVES = {"plain": (12, 2_000), "thread": (4, 500), "address": (6, 1_000)}


def test_it_keeps_its_promises(build: Build) -> None:
    run(compiled("exchange", build, quick=True))


def test_interrupted_and_dying_threads_strand_nothing(build: Build) -> None:
    rounds, steps = LIVES[build.name]
    run(compiled("preempted", build), str(rounds), str(steps))


def explore(plain: Build, preemptions: int) -> dict[str, int]:
    """Schedules of each scenario."""
    output = run(compiled("schedules", plain), str(preemptions))
    return {name.strip(): int(n) for name, n in re.findall(r"^(.*?) +(\d+) schedules", output, re.M)}


def test_every_schedule_with_two_preemptions(plain: Build) -> None:
    found = explore(plain, 2)
    assert len(found) >= 10
    assert min(found.values()) > 10
    assert sum(found.values()) > 2_000


@pytest.mark.long
def test_every_schedule_with_three_preemptions(plain: Build) -> None:
    assert sum(explore(plain, 3).values()) > 50_000
