# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from allocmark_turbomem import plugin

import allocmark

ROOT = Path(__file__).resolve().parents[1]


def test_is_found_by_its_entry_point():
    (entry,) = entry_points(group="allocmark", name="turbomem")
    assert entry.load() is plugin


def test_variants_are_sound():
    backends = {b.label: b for b in plugin.allocmark_backends()}
    pages = {
        "thp": allocmark.Pages.THP,
        "base": allocmark.Pages.BASE,
        "hugetlb_2m": allocmark.Pages.HUGETLB,
        "per_thread": allocmark.Pages.THP,
        "per_cpu": allocmark.Pages.THP,
        "checked": allocmark.Pages.BASE,
    }
    assert {label.removeprefix("turbomem:"): b.pages for label, b in backends.items()} == pages
    assert {label: b.problems() for label, b in backends.items() if b.problems()} == {}
    assert [label for label, b in backends.items() if b.default] == ["turbomem:thp"]
    tables = {b.variant: b.table for b in backends.values()}
    assert tables["thp"] == tables["base"] == tables["hugetlb_2m"]
    assert len({tables[name] for name in ("base", "per_thread", "per_cpu", "checked")}) == 4


@pytest.mark.parametrize(
    ("free", "promised", "surplus", "overcommit", "writable", "available"),
    [
        (8, 0, 0, 0, False, True),
        (8, 8, 0, 0, False, False),  # all are promised
        (0, 0, 0, 16, False, True),  # the kernel makes some by itself
        (0, 0, 16, 16, False, False),
        (0, 0, 0, 0, True, True),  # and may be asked to
    ],
)
def test_no_huge_pages_are_said_with_the_fix(
    tmp_path, monkeypatch, free, promised, surplus, overcommit, writable, available
):
    for name, value in (("nr", 8), ("free", free), ("resv", promised), ("surplus", surplus)):
        (tmp_path / f"{name}_hugepages").write_text(f"{value}\n")
    (tmp_path / "nr_overcommit_hugepages").write_text(f"{overcommit}\n")
    monkeypatch.setattr(plugin.os, "access", lambda _path, _mode: writable)
    found = plugin.hugetlb_unavailable(tmp_path)
    assert (found is None) == available
    if found is not None:
        assert "no huge page of 2 MB is free" in found.reason
        assert found.fix == "echo 264 | sudo tee /proc/sys/vm/nr_hugepages"


def test_a_kernel_without_hugetlb_is_said(tmp_path):
    assert "CONFIG_HUGETLBFS" in plugin.hugetlb_unavailable(tmp_path).fix


def test_version_is_the_headers_and_the_distributions():
    header = (ROOT / "include" / "turbomem" / "turbomem.h").read_text()
    (version,) = re.findall(r'#define TURBOMEM_VERSION "(.*)"', header)
    assert {b.version for b in plugin.allocmark_backends()} == {version}
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("modes", "reason", "fix"),
    [
        ("always [madvise] never", None, None),
        ("[always] madvise never", None, None),
        ("always madvise [never]", "never", "echo madvise"),
        (None, "no transparent huge pages", "CONFIG_TRANSPARENT_HUGEPAGE"),
    ],
)
def test_huge_pages_that_are_off_are_said_with_the_fix(tmp_path, modes, reason, fix):
    mode_file = tmp_path / "enabled"
    if modes is not None:
        mode_file.write_text(modes)
    found = plugin.thp_unavailable(mode_file)
    if reason is None:
        assert found is None
    else:
        assert reason in found.reason
        assert fix in found.fix
