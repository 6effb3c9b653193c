# SPDX-License-Identifier: BSD-3-Clause
"""Backends of a commit become wheels, each by itself, and only those that are new."""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from allocmark import AllocmarkError
from allocmark.gate.revisions.build_backends import build_backends
from allocmark.gate.revisions.git import checked_out
from allocmark.gate.revisions.side import prepare
from fixtures.histories import History

PYTHON = Path(sys.executable)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def build(history, commit, cache):
    with checked_out(history.folder, commit) as files:
        return build_backends(files, cache, python=PYTHON)


def test_a_wheel_of_the_commits_sources_against_this_header(history, cache):
    (built,) = build(history, history.fast, cache)
    assert (built.name, built.distribution, built.reason) == ("freelist", "allocmark-freelist", None)
    with zipfile.ZipFile(built.wheel) as wheel:
        assert any(name.startswith("allocmark_freelist/_native") for name in wheel.namelist())


def test_what_was_built_is_taken_from_the_cache(history, cache):
    (first,) = build(history, history.fast, cache)
    stamp = first.wheel.stat().st_mtime_ns
    (again,) = build(history, history.aside, cache)  # another commit, the same backend
    assert (again.wheel, again.wheel.stat().st_mtime_ns) == (first.wheel, stamp)
    (other,) = build(history, history.slow, cache)
    assert other.wheel != first.wheel


@pytest.mark.parametrize(("name", "value"), [("CFLAGS", "-O1"), ("ALLOCMARK_MARCH", "x86-64-v2")])
def test_other_flags_make_another_wheel(history, cache, monkeypatch, name, value):
    (plain,) = build(history, history.fast, cache)
    monkeypatch.setenv(name, value)
    (flagged,) = build(history, history.fast, cache)
    assert flagged.wheel != plain.wheel


def test_one_that_does_not_build_costs_no_other(history, cache, tmp_path):
    with checked_out(history.folder, history.broken) as files:
        shutil.copytree(files / "backends" / "freelist", tmp_path / "backends" / "broken")
    with checked_out(history.folder, history.fast) as files:
        shutil.copytree(files / "backends" / "freelist", tmp_path / "backends" / "good")
    (tmp_path / "backends" / "unreadable").mkdir()
    (tmp_path / "backends" / "unreadable" / "pyproject.toml").write_text("[project\n")
    before = sorted(tmp_path.rglob("*"))

    broken, good, unreadable = build_backends(tmp_path, cache, python=PYTHON)
    assert broken.wheel is None
    assert broken.reason.startswith("src/freelist.c:")
    assert "error" in broken.reason
    assert "this is not C" in broken.log.read_text()
    assert good.wheel.is_file()
    assert (unreadable.distribution, unreadable.wheel) == ("unreadable", None)
    assert "TOML" in unreadable.reason
    assert sorted(tmp_path.rglob("*")) == before  # nothing is left in the checkout
    assert not list(cache.glob("building-*"))


def test_a_commit_without_backends_builds_nothing(history, cache):
    assert build(history, history.nothing, cache) == []


def test_a_python_that_cannot_build_is_said_in_one_line(history, cache):
    lacking = Path(sys.executable).resolve()  # the one behind the virtual environment: it has no cffi
    with checked_out(history.folder, history.fast) as files, pytest.raises(AllocmarkError) as raised:
        build_backends(files, cache, python=lacking)
    assert "it needs allocmark, cffi and setuptools" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_pip_settings_of_the_user_do_not_reach_the_build(history, tmp_path, monkeypatch):
    settings = tmp_path / "pip.conf"
    settings.write_text("[install]\nuser = yes\n[wheel]\nno-such-option = 1\nindex-url = nowhere\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    for name in ("PIP_USER", "PIP_REQUIRE_HASHES"):
        monkeypatch.setenv(name, "yes")
    for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    side = prepare(history.folder, history.fast, tmp_path / "state")
    assert side.why_not("allocmark-freelist") is None
    assert not (tmp_path / "elsewhere").exists()


def test_an_empty_submodule_is_named_as_the_cause(tmp_path):
    made = History(tmp_path / "repository")
    made.backend(400)
    made.break_build()
    made.git("add", "backends")
    made.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},backends/freelist/vendor")
    made.git("commit", "-qm", "a submodule")
    side = prepare(made.folder, "HEAD", tmp_path / "state")
    reason = side.why_not("allocmark-freelist")
    assert reason.startswith("its git submodule backends/freelist/vendor is empty here, as the gate does not follow")
    assert "src/freelist.c:" in reason
