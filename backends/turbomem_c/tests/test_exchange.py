# SPDX-License-Identifier: BSD-3-Clause
"""The exchange between threads: its promises, its schedules, and threads that are interrupted and die."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from native_programs import ROOT, Build, compiled, run

#: rounds, and steps of each thread in a round: a second or two in every build
LIVES = {"plain": (12, 2_000), "thread": (4, 500), "address": (6, 1_000)}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return Build.of("plain", tmp_path_factory.mktemp("plain"))


def test_it_keeps_its_promises(build: Build) -> None:
    run(compiled("exchange", build))


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


#: What the schedules must notice: file, what it says, what a careless hand would write, preemptions that show it.
MUTANTS = {
    "requests without a number": ("claim.hpp", "(seen + gone_mask + 1) & number_mask", "seen & number_mask", 2),
    "a second reclaimer beside one that copies": ("claim.hpp", "(seen & copying_bit) == 0 ? seen : 0", "seen", 2),
    "what was behind kept after it was taken": ("cache.hpp", "if (s.behind_gone) set_previous(nullptr, 0);", "", 1),
    "a magazine given away by both": ("cache.hpp", "if (!claim_.abandon()) depot_->", "claim_.abandon(); depot_->", 1),
    "a magazine given away by neither": (
        "cache.hpp", "if (!claim_.done(seen, top))", "if (!claim_.done(seen, top) && false)", 1,
    ),
    "an open cache that looks closed": (
        "cache.hpp", "count_.store(closed_to_others, std::memory_order_relaxed);", "", 1,
    ),
    "a head without a tag": ("tagged_stack.hpp", "((head >> 32) + 1) << 32", "(head >> 32) << 32", 2),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("mutant", MUTANTS)
def test_schedules_notice(mutant: str, plain: Build, tmp_path: Path) -> None:
    file, right, wrong, preemptions = MUTANTS[mutant]
    include = tmp_path / "include"
    shutil.copytree(ROOT / "include", include)
    (header,) = include.rglob(file)
    text = header.read_text()
    assert text.count(right) == 1
    header.write_text(text.replace(right, wrong))
    build = Build(plain.name, [*plain.flags, f"-iquote{include}"], tmp_path)
    with pytest.raises(AssertionError, match=r"schedules.cpp:\d+: "):
        run(compiled("schedules", build), str(preemptions))
