# SPDX-License-Identifier: BSD-3-Clause
"""What the plugin hands over, with DPDK and without."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from allocmark_dpdk import plugin
from allocmark_dpdk.release import INSTALL, Release, releases

from allocmark import Pages, Unavailable, pkg_config

PROJECT = Path(__file__).parent.parent
LIST = (
    # An editable installation of this very package would lend the folder its native module.
    "import sys; sys.meta_path = [f for f in sys.meta_path if 'Editable' not in repr(f)]\n"
    "from allocmark_dpdk.plugin import allocmark_backends\n"
    "for b in allocmark_backends(): print(b.load, b.unavailable.reason, b.unavailable.fix, sep='|')"
)


@pytest.fixture(scope="module")
def without_dpdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution, built where pkg-config finds nothing, as a folder to import from."""
    folder = tmp_path_factory.mktemp("without")
    source = folder / "source"
    shutil.copytree(PROJECT, source, ignore=shutil.ignore_patterns("*.so", "*.egg-info", "build", "_native.c"))
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", folder, source]
    subprocess.run(build, check=True, env=os.environ | {"PKG_CONFIG": "false"}, capture_output=True)
    (wheel,) = folder.glob("allocmark_dpdk-*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def listed(site: Path) -> list[list[str]]:
    environ = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run([sys.executable, "-c", LIST], env=environ, capture_output=True, text=True, check=True)
    return [line.split("|") for line in done.stdout.splitlines()]


def test_built_without_dpdk(without_dpdk):
    assert not list(without_dpdk.glob("allocmark_dpdk/*.so"))
    assert listed(without_dpdk) == [["None", "libdpdk was not there when allocmark-dpdk was built", INSTALL]] * (
        len(plugin._HANDLERS) * 2 + 7
    )


def test_the_library_is_gone(without_dpdk, tmp_path):
    site = tmp_path / "site"
    shutil.copytree(without_dpdk, site)
    (site / "allocmark_dpdk" / "_native.abi3.so").write_bytes(b"")  # the loader refuses it
    for load, reason, fix in listed(site):
        assert (load, fix) == ("None", INSTALL)
        assert reason.startswith("DPDK does not load: ")


def test_variants_are_well_formed():
    found = plugin.allocmark_backends()
    assert [problem for backend in found for problem in backend.problems()] == []
    assert len({backend.label for backend in found}) == len(found) == 21
    (default,) = (backend for backend in found if backend.default)
    assert default.variant == "ring_mp_mc-hugetlb"
    assert default.options == {"handler": "ring_mp_mc", "pages": "hugetlb"}


def test_version_is_the_library_s():
    (own, *_) = releases()
    if own.missing:
        pytest.skip(own.missing.reason)
    assert own.version == pkg_config("--modversion", "libdpdk")


@pytest.mark.parametrize(("helper", "pages"), [("hugetlb_unavailable", Pages.HUGETLB), ("thp_unavailable", Pages.THP)])
def test_pages_that_are_missing_make_their_variants_unavailable(monkeypatch, tmp_path, helper, pages):
    missing = Unavailable("there are none", "boot another kernel")
    monkeypatch.setattr(plugin, "thp_unavailable", lambda: None)
    monkeypatch.setattr(plugin, "hugetlb_unavailable", lambda: None)
    monkeypatch.setattr(plugin, helper, lambda: missing)
    found = plugin.variants(Release("1"), tmp_path)
    assert {b.pages for b in found if b.unavailable == missing and b.load is None} == {pages}
    assert {b.pages for b in found if b.unavailable} == {pages}


def test_turbomem_without_its_driver():
    found = [b for b in plugin.variants(Release("1")) if b.options["handler"] == "turbomem"]
    assert {b.load for b in found} == {None}
    reason = "TurboMem's driver for DPDK is not installed"
    assert Unavailable(reason, INSTALL) in {b.unavailable for b in found if b.pages is Pages.BASE}


def test_turbomem_is_told_where_its_driver_is(tmp_path):
    (found,) = (b for b in plugin.variants(Release("1"), tmp_path) if b.variant == "turbomem-base")
    assert found.options == {"handler": "turbomem", "pages": "base", "driver": str(tmp_path)}
    assert plugin._turbomem_driver() is None or plugin._turbomem_driver().name == "librte_mempool_turbomem.so"
