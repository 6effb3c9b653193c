# SPDX-License-Identifier: BSD-3-Clause
"""A slowdown of 10 % and none, several times each, by the command as people run it."""

from __future__ import annotations

import pytest

from fixtures.histories import History

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

TRIES = 5


@pytest.fixture(scope="module")
def tenth(tmp_path_factory):
    """Commits: good, same (built anew), between, bad (10 % more work, which is nearly all of the cost), last."""
    made = History(tmp_path_factory.mktemp("tenth") / "repository")
    commits = {}
    for name, work in (("good", 400), ("same", 400), ("between", 400), ("bad", 440), ("last", 440)):
        made.backend(work, name)
        commits[name] = made.commit(name)
    return made, commits


def statuses(track, tenth, head):
    made, commits = tenth
    found = []
    for _ in range(TRIES):
        done = track("gate", commits["good"], commits[head], str(made.workload), cwd=made.folder, timeout=900)
        print(done.stdout, done.stderr)
        found.append(done.returncode)
    return found


def test_a_tenth_is_found(track, tenth):
    found = statuses(track, tenth, "bad")
    assert found.count(1) >= TRIES - 1, found
    assert set(found) <= {1, 3}, found


def test_the_same_is_no_alarm(track, tenth):
    found = statuses(track, tenth, "same")
    assert found.count(0) >= TRIES - 1, found
    assert set(found) <= {0, 3}, found


def test_bisect_finds_the_commit(track, tenth):
    made, commits = tenth
    done = track(
        "bisect", commits["good"], commits["last"], str(made.workload), "--budget", "5", cwd=made.folder, timeout=1800
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"first slow commit: {commits['bad'][:10]} bad" in done.stdout
