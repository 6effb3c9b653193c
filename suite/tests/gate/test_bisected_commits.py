# SPDX-License-Identifier: BSD-3-Clause
"""Which commits a bisection looks at."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from allocmark.errors import UsageError
from allocmark.gate.bisect import _between


def git(repository: Path, *arguments: str) -> str:
    who = ["-c", "user.name=who", "-c", "user.email=who@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *who, "-C", repository, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(repository: Path, subject: str) -> str:
    git(repository, "commit", "--allow-empty", "-m", subject)
    return git(repository, "rev-parse", "HEAD")


def test_a_branch_that_was_merged_is_looked_at_as_one_commit(tmp_path: Path) -> None:
    git(tmp_path, "init")
    good, before = commit(tmp_path, "good"), commit(tmp_path, "before")
    git(tmp_path, "checkout", "-b", "topic")
    of_the_branch = [commit(tmp_path, "one"), commit(tmp_path, "two")]
    git(tmp_path, "checkout", "main")
    aside = commit(tmp_path, "meanwhile")
    git(tmp_path, "merge", "--no-ff", "-m", "merge of topic", "topic")
    merge, after = git(tmp_path, "rev-parse", "HEAD"), commit(tmp_path, "after")

    assert _between(tmp_path, good, after) == [before, aside, merge, after]
    assert _between(tmp_path, before, "topic") == of_the_branch
    with pytest.raises(UsageError, match=r"is not on the first-parent line of .*git merge-base"):
        _between(tmp_path, of_the_branch[0], after)
