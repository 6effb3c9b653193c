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


def test_version_is_the_headers_and_the_distributions():
    header = (ROOT / "include" / "turbomem" / "turbomem.h").read_text()
    (version,) = re.findall(r'#define TURBOMEM_VERSION "(.*)"', header)
    assert {b.version for b in plugin.allocmark_backends()} == {version}
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("helper", "variants"),
    [("thp_unavailable", {"thp", "per_thread", "per_cpu"}), ("hugetlb_unavailable", {"hugetlb_2m"})],
)
def test_pages_that_are_missing_make_their_variants_unavailable(monkeypatch, helper, variants):
    missing = allocmark.Unavailable("there are none", "boot another kernel")
    monkeypatch.setattr(plugin, "thp_unavailable", lambda: None)
    monkeypatch.setattr(plugin, "hugetlb_unavailable", lambda: None)
    monkeypatch.setattr(plugin, helper, lambda: missing)
    found = plugin.allocmark_backends()
    assert {b.variant for b in found if b.unavailable == missing and b.table is None} == variants
    assert {b.variant for b in found if b.unavailable} == variants
