# SPDX-License-Identifier: BSD-3-Clause
"""Bugs planted into copies of the headers: each makes a test program fail that other tests show to pass without it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from native_programs import BUILDS, CXX, NATIVE, ROOT, registered, run

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


class Bug(NamedTuple):
    header: str
    right: str
    wrong: str
    program: str  #: that must fail
    build: str = "plain"


#: what each is given: preemptions, steps of each thread
ARGUMENTS = {"unit": [], "schedules": ["2"], "stress": ["20000"], "per_cpu": ["300000"]}
BUGS = {
    "stack without a tag": Bug(
        "tagged_stack.hpp", "return ((head >> 32) + 1) << 32 | index;", "return head >> 32 << 32 | index;", "unit"
    ),
    "push without release": Bug(
        "tagged_stack.hpp", "changed(head, indices.back()), std::memory_order_release,",
        "changed(head, indices.back()), std::memory_order_relaxed,", "stress", "thread",
    ),
    "one object too many fits": Bug(
        "cache.hpp", "limit_ = puts_unseen_ ? room_ : 0;", "limit_ = puts_unseen_ ? room_ + 1 : 0;", "unit"
    ),
    "partial magazine lost": Bug(
        "depot.hpp", "partial_.push(magazines_, rest->index);", "if (rest->count > 1) push_empty(v, *rest);", "unit"
    ),
    "magazine kept that is copied": Bug(
        "cache.hpp", "if (s.copying)\n            move_out", "if (false)\n            move_out", "schedules"
    ),
    "reclaimer forgets what is behind": Bug("cache.hpp", "if (p != nullptr) to.give(p, p_count);", "", "schedules"),
    "slow call leaves the cache open": Bug(
        "cache.hpp", "count_.store(closed_to_others, std::memory_order_relaxed);", "", "schedules"
    ),
    "requests without a number": Bug(
        "claim.hpp", "(seen + gone_mask + 1) & number_mask", "seen & number_mask", "schedules"
    ),
    "a second reclaimer beside one that copies": Bug(
        "claim.hpp", "(seen & copying_bit) == 0 ? seen : 0", "seen", "schedules"
    ),
    "what was behind kept after it was taken": Bug(
        "cache.hpp", "if (s.behind_gone) set_previous(nullptr, 0);", "", "schedules"
    ),
    "a magazine given away by both": Bug(
        "cache.hpp", "if (!claim_.abandon()) depot_->", "claim_.abandon(); depot_->", "schedules"
    ),
    "a magazine given away by neither": Bug(
        "cache.hpp", "if (!claim_.done(seen, top))", "if (!claim_.done(seen, top) && false)", "schedules"
    ),
    "a head without a tag": Bug("tagged_stack.hpp", "((head >> 32) + 1) << 32", "(head >> 32) << 32", "schedules"),
    "what was taken is touched without a barrier": Bug(
        "cpu_caches.hpp", "settled = barrier_();", "settled = true;", "per_cpu"
    ),
    "magazines taken out without a compare": Bug(
        "sequences.hpp", "lock cmpxchgq %%rcx, (%%rdx)", "movq %%rcx, (%%rdx)", "per_cpu"
    ),
    "nothing begins anew": Bug("sequences.hpp", ".quad 2f, 3f - 2f, 4f", ".quad 2f, 0, 4f", "per_cpu"),
    "restarts without end": Bug("cpu_caches.hpp", "patience = 16", "patience = 1 << 30", "per_cpu"),
    "what is behind is forgotten": Bug(
        "cpu_caches.hpp", "if (previous != nullptr) taken[magazines++] = previous;", "", "per_cpu"
    ),
    "a refused barrier loses what was taken": Bug(
        "cpu_caches.hpp", "unsettled_.push(depot_, taken[i]->index);", "{}", "per_cpu"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BUGS)
def test_bug_is_caught(name: str, tmp_path: Path) -> None:
    bug = BUGS[name]
    if bug.program == "per_cpu":
        if not registered() or platform.machine() != "x86_64":
            pytest.skip("needs restartable sequences, on x86-64")
        if len(os.sched_getaffinity(0)) < 2:
            pytest.skip("on one CPU there are no caches of others to take from")
    include, program = tmp_path / "include", tmp_path / bug.program
    shutil.copytree(ROOT / "include", include)
    (header,) = include.rglob(bug.header)
    text = header.read_text()
    assert bug.right in text, f"{bug.header} changed: plant this bug anew"
    header.write_text(text.replace(bug.right, bug.wrong))
    flags = ["-std=c++20", "-O2", "-pthread", f"-I{include}", *BUILDS[bug.build]]
    run(CXX, *flags, NATIVE / f"{bug.program}.cpp", "-o", program)
    try:
        done = subprocess.run([program, *ARGUMENTS[bug.program]], capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        return  # going round for ever is a failure, too
    assert done.returncode != 0
    if bug.program == "schedules":
        assert re.search(r"schedules.cpp:\d+: ", done.stdout + done.stderr)
