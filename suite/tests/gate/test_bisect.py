# SPDX-License-Identifier: BSD-3-Clause
"""`allocmark track bisect` on real commits, one of which does not build."""

from __future__ import annotations

import pytest
from support import assert_refused

pytestmark = pytest.mark.alone


def test_the_commit_is_found_and_what_does_not_build_is_skipped(track, history):
    done = track("bisect", history.fast, history.news, history.workload, "--limit", "50")
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = [line for line in done.stdout.splitlines() if line.startswith("first slow commit:")]
    assert found == f"first slow commit: {history.slow[:10]} twice the work"
    (skipped,) = [line for line in done.stdout.splitlines() if line.startswith(history.broken[:10])]
    assert "skipped" in skipped
    assert "error:" in skipped
    assert f"{history.slow[:10]} bad      same files as a bad commit" in done.stdout
    (proof,) = [line for line in done.stdout.splitlines() if line.startswith("against the commit before it:")]
    assert 1.5 < float(proof.split()[5]) < 2.5
    assert proof.endswith("slower")


def test_nothing_to_bisect_is_said(track, history):
    done = track("bisect", history.slow, history.news, history.workload)
    assert done.returncode == 2
    assert "nothing to bisect" in done.stderr


def test_commits_must_lie_on_one_line(track, history):
    assert_refused(track("bisect", history.aside, history.slow), "first-parent line")
    assert_refused(track("bisect", history.slow, history.slow), "the same commit")
