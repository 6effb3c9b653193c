# SPDX-License-Identifier: BSD-3-Clause
"""A commit as a folder, out of a repository that stays as it is."""

from __future__ import annotations

import pytest

from allocmark import AllocmarkError
from allocmark.gate.revisions.git import checked_out, resolve


def test_names_of_a_commit(history):
    for name in ("fast", "slow"):
        commit = getattr(history, name)
        assert resolve(history.folder, commit[:10]) == commit
    assert resolve(history.folder, "HEAD") == history.news
    assert resolve(history.folder, "HEAD~1") == history.slow
    assert resolve(history.folder, "aside") == history.aside


@pytest.mark.parametrize("name", ["nothing_of_that_name", "deadbeef", "", "HEAD:NEWS", "--all"])
def test_a_commit_that_does_not_exist(history, name):
    with pytest.raises(AllocmarkError, match=f"has no commit '{name}'") as raised:
        resolve(history.folder, name)
    assert "\n" not in str(raised.value)


def test_no_repository_and_no_folder(tmp_path):
    with pytest.raises(AllocmarkError, match="not a git repository"):
        resolve(tmp_path, "HEAD")
    with pytest.raises(AllocmarkError, match="there is no folder"):
        resolve(tmp_path / "nowhere", "HEAD")


def test_the_files_of_a_commit_and_nothing_else_is_touched(history):
    before = history.made.git("status", "--porcelain=v2", "--branch"), history.made.git("worktree", "list")
    with checked_out(history.folder / "backends", history.fast) as files:  # a subfolder is in the repository, too
        assert (files / "NEWS").read_text().endswith("a backend\n")
        assert (files / "backends" / "freelist" / "pyproject.toml").is_file()
        assert not (files / ".git").exists()
    assert not files.exists()
    assert before == (history.made.git("status", "--porcelain=v2", "--branch"), history.made.git("worktree", "list"))


def test_a_commit_without_backends(history):
    with checked_out(history.folder, history.nothing) as files:
        assert [path.name for path in files.iterdir()] == ["NEWS"]
