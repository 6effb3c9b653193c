# SPDX-License-Identifier: BSD-3-Clause
"""A site takes the place of the one before it, and nobody else's file is touched, whenever it is killed."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from allocmark.asv.site_folder import MARKER, new_site
from allocmark.errors import UsageError

OLD = {"index.html": "old", "run/1.html": "one", "assets/a.js": "a"}
NEW = {"index.html": "new", "run/2.html": "two", "assets/a.js": "b"}
THEIRS = {"robots.txt": "x", "docs/a.html": "y", "run/notes.txt": "mine", ".git/HEAD": "ref", "CNAME": "example.org"}


def fill(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def publish(folder: Path, files: Mapping[str, str]) -> None:
    with new_site(folder) as stage:
        fill(stage, {**files, MARKER: json.dumps({"allocmark": "1", "notes": []})})


def files_in(folder: Path) -> dict[str, str]:
    files = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    del files[MARKER]
    return files


def test_what_people_put_beside_the_site_stays(tmp_path: Path) -> None:
    publish(tmp_path, OLD)
    fill(tmp_path, THEIRS)
    publish(tmp_path, NEW)
    assert files_in(tmp_path) == THEIRS | NEW
    assert sorted(json.loads((tmp_path / MARKER).read_text())["files"]) == sorted(NEW)


def test_an_old_folder_that_is_empty_goes(tmp_path: Path) -> None:
    publish(tmp_path, OLD)
    publish(tmp_path, {"index.html": "new"})
    assert sorted(path.name for path in tmp_path.iterdir()) == [MARKER, "index.html"]


@pytest.mark.parametrize("name", ["run", "run/2.html", "run/2.html/inside"])
def test_a_file_of_somebody_else_is_never_replaced(tmp_path: Path, name: str) -> None:
    publish(tmp_path, {"index.html": "old"})
    fill(tmp_path, {name: "precious"})
    with pytest.raises(UsageError, match=r"holds run.*, which is not of a site that allocmark wrote.*run/2\.html"):
        publish(tmp_path, NEW)
    assert files_in(tmp_path) == {"index.html": "old", name: "precious"}


def test_a_link_is_followed_to_the_site_and_never_out_of_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    publish(tmp_path / "link", {"index.html": "old"})
    assert (tmp_path / "link").is_symlink()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "real/run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="holds run"):
        publish(tmp_path / "link", NEW)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_site_from_before_there_was_a_list_is_replaced(tmp_path: Path) -> None:
    fill(tmp_path, OLD | {MARKER: '{"allocmark": "0.1.0", "notes": []}'})
    publish(tmp_path, NEW)
    assert files_in(tmp_path) == OLD | NEW  # what is not replaced stays: it may be anybody's


@pytest.mark.parametrize("text", ["", "[]", '{"files": ["index.html"]}', "\0"])
def test_a_folder_with_a_marker_of_somebody_else_is_refused(tmp_path: Path, text: str) -> None:
    fill(tmp_path, {"index.html": "precious", MARKER: text})
    with pytest.raises(UsageError, match=rf"its {MARKER} is not one that allocmark wrote"):
        publish(tmp_path, NEW)
    assert files_in(tmp_path) == {"index.html": "precious"}


def test_what_raises_leaves_everything(tmp_path: Path) -> None:
    publish(tmp_path / "site", OLD)
    for folder in (tmp_path / "site", tmp_path / "new" / "folder"):
        with pytest.raises(TypeError), new_site(folder) as stage:
            fill(stage, {**NEW, "fails": None})  # type: ignore[dict-item]
    assert files_in(tmp_path / "site") == OLD
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_list_that_leads_outside_removes_nothing_there(tmp_path: Path) -> None:
    publish(tmp_path / "site", OLD)
    fill(tmp_path, {"precious": "x"})
    (tmp_path / "site" / MARKER).write_text(
        json.dumps({"allocmark": "1", "files": ["../precious", str(tmp_path / "precious")]})
    )
    (tmp_path / "site/index.html").unlink()
    (tmp_path / "site/assets/a.js").unlink()
    publish(tmp_path / "site", NEW)
    assert (tmp_path / "precious").read_text() == "x"


def test_two_at_a_time(tmp_path: Path) -> None:
    with new_site(tmp_path) as stage:
        fill(stage, OLD)
        with pytest.raises(UsageError, match="another process is publishing there"):
            publish(tmp_path, NEW)
    assert files_in(tmp_path) == OLD


STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}


def killed_at(step: int, folder: Path, files: Mapping[str, str]) -> bool:
    """Publish in a process that is killed before its ``step``th use of a file; False when it needs fewer."""
    child = os.fork()
    if not child:
        left = step

        def watch(event: str, _: object) -> None:
            nonlocal left
            if event in STEPS:
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        try:
            publish(folder, files)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_killed_at_any_step_nothing_of_others_is_lost_and_the_next_one_repairs(tmp_path: Path) -> None:
    for step in itertools.count(1):
        site = tmp_path / str(step)
        publish(site, OLD)
        fill(site, THEIRS)
        killed = killed_at(step, site, NEW)
        found = {name: text for name, text in files_in(site).items() if not name.startswith(".allocmark")}
        assert found.items() >= THEIRS.items()
        assert all(text in (OLD.get(name), NEW.get(name)) for name, text in found.items() if name not in THEIRS)
        assert "index.html" in found
        if not killed:
            break
        publish(site, NEW)
        assert files_in(site) == THEIRS | NEW
        assert not [path for path in site.iterdir() if path.name.startswith(".allocmark")]
    assert step > 20


def test_the_first_site_killed_at_any_step_is_written_by_the_next_one(tmp_path: Path) -> None:
    theirs = {".git/HEAD": "ref", "CNAME": "example.org"}
    for step in itertools.count(1):
        site = tmp_path / str(step)
        fill(site, theirs)
        killed = killed_at(step, site, NEW)
        publish(site, OLD)
        assert files_in(site) == theirs | OLD
        if not killed:
            break
    assert step > 20
