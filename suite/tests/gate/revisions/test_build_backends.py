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
from allocmark.gate.revisions.side import prepare
from allocmark.new_backend import rendered
from fixtures.histories import History, checked_out

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


def test_a_submodule_comes_from_the_clone_and_is_named_when_it_is_not_there(allocmark_command, tmp_path):
    vendor = History(tmp_path / "vendor")
    vendor.write("x.h", "#define EXTRA 1\n")
    vendor.commit("a header")
    made = History(tmp_path / "repository")
    made.backend(400)
    where = "backends/freelist/vendor"
    made.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(vendor.folder), where)
    source = made.folder / "backends/freelist/src/freelist.c"
    source.write_text(f'#include "../vendor/x.h"\n{source.read_text()}')
    made.commit("a submodule")
    source.write_text(f"{source.read_text()}/* two */\n")
    made.commit("two")
    assert prepare(made.folder, "HEAD", tmp_path / "state").why_not("allocmark-freelist") is None

    made.git("clone", "-q", str(made.folder), str(tmp_path / "clone"))
    done = allocmark_command("track", "gate", "HEAD~1", "HEAD", made.workload, cwd=tmp_path / "clone")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    said = " ".join((done.stdout + done.stderr).split())
    assert "vendor/x.h: No such file or directory" in said
    assert f"the git submodule {where} is not in this clone" in said
    assert "`git submodule update --init --recursive` brings it" in said


def test_a_backend_may_be_the_whole_repository(tmp_path):
    made = History(tmp_path / "repository")
    for name, text in rendered("mine", "pool").items():
        made.write(name, text)
    made.commit("what new-backend writes")
    side = prepare(made.folder, "HEAD", tmp_path / "state")
    assert side.why_not("allocmark-mine") is None
    assert [each.name for each in side.built] == ["own"]
