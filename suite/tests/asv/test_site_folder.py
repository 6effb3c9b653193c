# SPDX-License-Identifier: BSD-3-Clause
"""A site takes the place of the one before it, and nobody else's file is touched, whenever it is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
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
        fill(stage, {**files, MARKER: json.dumps({"notes": []})})


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
    (tmp_path / "site" / MARKER).write_text(json.dumps({"files": ["../precious", str(tmp_path / "precious")]}))
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


PUBLISHER = """
import sys
from pathlib import Path
from allocmark.asv.site_folder import MARKER, new_site
print("ready", flush=True)
for turn in range(10**6):
    with new_site(Path(sys.argv[1])) as stage:
        for number in range(40):
            (stage / f"run{(number + turn) % 60}").mkdir()
            (stage / f"run{(number + turn) % 60}" / "page.html").write_text(str(turn))
        (stage / "index.html").write_text(str(turn))
        (stage / MARKER).write_text("{}")
"""


def test_killed_at_any_moment_nothing_of_others_is_lost_and_the_next_one_repairs(tmp_path: Path) -> None:
    rng = random.Random(5)
    site = tmp_path / "site"
    publish(site, {"index.html": "old"})
    fill(site, THEIRS)
    for _ in range(20):
        process = subprocess.Popen([sys.executable, "-c", PUBLISHER, str(site)], stdout=subprocess.PIPE, text=True)
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.002, 0.08))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        publish(site, NEW)
        assert files_in(site) == THEIRS | NEW
        assert not [path for path in site.iterdir() if path.name.startswith(".allocmark")]
