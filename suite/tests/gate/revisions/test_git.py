# SPDX-License-Identifier: BSD-3-Clause
"""A commit as a folder, out of a repository that stays as it is."""

from __future__ import annotations

import os

import pytest

from allocmark import AllocmarkError
from allocmark.gate.gate import state_folder
from allocmark.gate.revisions.git import resolve
from fixtures.histories import History, checked_out


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


def test_the_repository_is_that_of_the_folder_also_in_a_hook_of_another(history, tmp_path, monkeypatch):
    History(tmp_path / "other").commit("of another repository")
    for name, value in (("DIR", ".git"), ("WORK_TREE", "."), ("INDEX_FILE", ".git/index"), ("PREFIX", "")):
        monkeypatch.setenv(f"GIT_{name}", str(tmp_path / "other" / value))
    assert resolve(history.folder, "HEAD") == history.news
    assert state_folder(history.folder / "backends") == history.folder / ".allocmark"
    with checked_out(history.folder, history.fast) as files:
        assert (files / "backends" / "freelist" / "pyproject.toml").is_file()


def test_a_folder_of_any_bytes(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    made = History(folder / "repository")
    commit = made.commit("one")
    assert state_folder(made.folder) == made.folder / ".allocmark"
    with checked_out(made.folder, commit) as files:
        assert [path.name for path in files.iterdir()] == ["NEWS"]


def test_a_commit_without_backends(history):
    with checked_out(history.folder, history.nothing) as files:
        assert [path.name for path in files.iterdir()] == ["NEWS"]
