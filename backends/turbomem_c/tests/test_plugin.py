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
    assert list(backends) == ["turbomem:thp", "turbomem:base"]
    assert [b.problems() for b in backends.values()] == [[], []]
    assert [label for label, b in backends.items() if b.default] == ["turbomem:thp"]
    assert backends["turbomem:thp"].pages is allocmark.Pages.THP
    assert backends["turbomem:base"].pages is allocmark.Pages.BASE


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
