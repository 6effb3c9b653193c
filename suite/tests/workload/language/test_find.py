# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

from pathlib import Path

import pytest

from allocmark.errors import UsageError, WorkloadError
from allocmark.workload.language.find import BUNDLED, all_workloads, find_workload

FILE = """\
format: 1
name: {name}
summary: x
source: x
pools: {{p: {{object_size: 1, objects: 1}}}}
actors: {{a: [get: {{from: p}}]}}
"""


def put(folder: Path, file: str, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / file
    path.write_text(FILE.format(name=name), encoding="utf-8")
    return path


def test_by_name_in_order_of_the_folders(tmp_path: Path) -> None:
    first = put(tmp_path / "one", "mine.yaml", "mine")
    put(tmp_path / "two", "mine.yaml", "mine")
    second = put(tmp_path / "two", "yours.yaml", "yours")
    dirs = (tmp_path / "one", tmp_path / "two", tmp_path / "missing")
    assert find_workload("mine", dirs).path == first
    assert find_workload("yours", dirs).path == second
    found = all_workloads(dirs)
    assert [getattr(each, "path", None) for each in found] == [
        first,
        first.parents[1] / "two/mine.yaml",
        second,
    ]
    assert isinstance(found[1], WorkloadError)
    assert "found mine again; expected one workload" in str(found[1])


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    path = put(tmp_path, "draft 3.yaml", "mine")
    assert find_workload(str(path)).name == "mine"


def test_in_a_folder_the_file_is_named_as_the_workload(tmp_path: Path) -> None:
    path = put(tmp_path, "mine.yaml", "yours")
    [error] = all_workloads((tmp_path,))
    assert str(error) == f"{path}:2: found name: yours; expected mine, as the file's name"
    with pytest.raises(WorkloadError, match="found name: yours"):
        find_workload("mine", (tmp_path,))


def test_one_bad_file_costs_the_others_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("[", encoding="utf-8")
    put(tmp_path, "good.yaml", "good")
    bad, good = all_workloads((tmp_path,))
    assert isinstance(bad, WorkloadError)
    assert not isinstance(good, WorkloadError)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            "brust",
            r"unknown workload 'brust'; did you mean 'burst'\? possible: big_pool, burst, cross_core_free,",
        ),
        ("", "unknown workload ''"),
        ("./burst", r"no workload file ./burst; expected a file, or one of big_pool, burst,"),
        ("nope.yaml", "no workload file nope.yaml"),
        ("/", "no workload file /"),
    ],
)
def test_unknown(asked: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_workload(asked, (BUNDLED,))


def test_a_file_that_is_no_workload_is_not_taken_for_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.wl").write_bytes(b"\x00\x01trace")
    with pytest.raises(UsageError, match=r"^app\.wl is a file that does not end in \.yaml"):
        find_workload("app.wl")
    with pytest.raises(WorkloadError):
        find_workload("./app.wl")
