# SPDX-License-Identifier: BSD-3-Clause
"""Bugs planted into copies of the headers: each makes a test program fail."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from native_programs import BUILDS, CXX, NATIVE, ROOT, WARNINGS, run

pytestmark = pytest.mark.long


class Bug(NamedTuple):
    header: str
    right: str
    wrong: str
    program: str  #: that must fail
    build: str = "plain"
    arguments: tuple[str, ...] = ()


STRESS = ("20000",)
BUGS = {
    "stack without a tag": Bug(
        "tagged_stack.hpp", "return ((head >> 32) + 1) << 32 | index;", "return head >> 32 << 32 | index;", "unit"
    ),
    "push without release": Bug(
        "tagged_stack.hpp",
        "changed(head, indices.back()), std::memory_order_release,",
        "changed(head, indices.back()), std::memory_order_relaxed,",
        "stress",
        "thread",
        STRESS,
    ),
    "one object too many fits": Bug(
        "cache.hpp", "limit_ = puts_unseen_ ? room_ : 0;", "limit_ = puts_unseen_ ? room_ + 1 : 0;", "unit"
    ),
    "partial magazine lost": Bug(
        "depot.hpp", "partial_.push(magazines_, rest->index);", "if (rest->count > 1) push_empty(v, *rest);", "unit"
    ),
    "magazine kept that is copied": Bug(
        "cache.hpp", "if (s.copying)\n            move_out", "if (false)\n            move_out", "schedules",
    ),
    "reclaimer forgets what is behind": Bug("cache.hpp", "if (p != nullptr) to.give(p, p_count);", "", "schedules"),
    "slow call leaves the cache open": Bug(
        "cache.hpp", "count_.store(closed_to_others, std::memory_order_relaxed);", "", "schedules"
    ),
}  # fmt: skip


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", BUGS)
def test_bug_is_caught(name: str, tmp_path: Path) -> None:
    bug = BUGS[name]
    include = tmp_path / "include"
    shutil.copytree(ROOT / "include", include)
    (header,) = include.rglob(bug.header)
    text = header.read_text()
    assert text.count(bug.right) == 1, f"{bug.header} changed: plant this bug anew"
    flags = ["-std=c++20", "-O2", *(f for f in WARNINGS if not f.startswith(("-I", "-W"))), *BUILDS[bug.build]]

    def ends_well(folder: Path) -> bool:
        program = tmp_path / bug.program
        run(CXX, *flags, f"-I{folder}", NATIVE / f"{bug.program}.cpp", "-o", program)
        try:
            return subprocess.run([program, *bug.arguments], capture_output=True, timeout=300).returncode == 0
        except subprocess.TimeoutExpired:
            return False  # going round for ever is a failure, too

    assert ends_well(include)
    header.write_text(text.replace(bug.right, bug.wrong))
    assert not ends_well(include)
