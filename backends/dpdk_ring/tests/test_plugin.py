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

from allocmark import Pages, Unavailable

PROJECT = Path(__file__).parent.parent
LIST = (
    # An editable installation of this very package would lend the folder its native module.
    "import sys; sys.meta_path = [f for f in sys.meta_path if 'Editable' not in repr(f)]\n"
    "from allocmark_dpdk.plugin import allocmark_backends\n"
    "for b in allocmark_backends(): print(b.table, b.unavailable.reason, b.unavailable.fix, sep='|')"
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
    assert listed(without_dpdk) == [
        ["None", "libdpdk was not there when allocmark-dpdk was built", plugin._INSTALL]
    ] * (len(plugin._HANDLERS) * 2 + 3)


def test_the_library_is_gone(without_dpdk, tmp_path):
    site = tmp_path / "site"
    shutil.copytree(without_dpdk, site)
    (site / "allocmark_dpdk" / "_native.abi3.so").write_bytes(b"")  # the loader refuses it
    for table, reason, fix in listed(site):
        assert (table, fix) == ("None", plugin._INSTALL)
        assert reason.startswith("DPDK does not load: ")


def test_variants_are_well_formed():
    found = plugin.allocmark_backends()
    assert [problem for backend in found for problem in backend.problems()] == []
    assert len({backend.label for backend in found}) == len(found) == 17
    (default,) = (backend for backend in found if backend.default)
    assert default.variant == "ring_mp_mc-hugetlb"
    assert default.options == {"handler": "ring_mp_mc", "pages": "hugetlb"}


def test_version_is_the_library_s():
    table, version, missing = plugin._load()
    if missing:
        pytest.skip(missing.reason)
    assert table
    queried = subprocess.run(["pkg-config", "--modversion", "libdpdk"], capture_output=True, text=True)
    assert version == queried.stdout.strip()


def counts(folder: Path, **values: int) -> Path:
    for name in ("nr", "free", "resv", "surplus", "nr_overcommit"):
        (folder / f"{name}_hugepages").write_text(f"{values.get(name, 0)}\n")
    return folder


@pytest.mark.parametrize(
    ("values", "possible"),
    [
        ({}, False),
        ({"nr": 9, "free": 9}, True),
        ({"nr": 9, "free": 9, "resv": 9}, False),
        ({"nr_overcommit": 8}, True),
        ({"nr": 8, "surplus": 8, "nr_overcommit": 8}, False),
    ],
)
def test_huge_pages_that_may_not_be_reserved(tmp_path, monkeypatch, values, possible):
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write whatever the mode says
    obstacle = None if possible else plugin._no_huge_pages(counts(tmp_path, **values))
    found = plugin.variants(8, "1", None, counts(tmp_path, **values), tmp_path)
    assert {b.unavailable for b in found if b.pages is Pages.HUGETLB} == {obstacle}
    assert {b.unavailable for b in found if b.pages is Pages.BASE} == {None}
    if not possible:
        assert obstacle.fix == f"echo {values.get('nr', 0) + 256} | sudo tee /proc/sys/vm/nr_hugepages"


def test_a_kernel_without_huge_pages(tmp_path):
    found = plugin.variants(8, "1", None, tmp_path / "none")
    obstacle = Unavailable("the kernel has no huge pages of 2 MB", "boot a kernel with CONFIG_HUGETLBFS=y")
    assert {b.unavailable for b in found if b.pages is Pages.HUGETLB} == {obstacle}


def turbomem(tmp_path, **changes):
    found = plugin.variants(8, "1", None, counts(tmp_path, nr=9, free=9), **changes)
    return {b.pages: b for b in found if b.options["handler"] == "turbomem"}


def test_turbomem_without_its_driver(tmp_path):
    found = turbomem(tmp_path, driver=None)
    assert {b.table for b in found.values()} == {None}
    (obstacle,) = {b.unavailable for b in found.values()}
    assert obstacle.reason == "librte_mempool_turbomem.so, its driver for DPDK, is not installed"
    assert obstacle.fix == plugin._INSTALL


@pytest.mark.parametrize(
    ("mode", "possible"), [("always [madvise] never", True), ("[always] never", True), ("madvise [never]", False)]
)
def test_turbomem_where_thp_is_off(tmp_path, mode, possible):
    file, driver = tmp_path / "enabled", tmp_path / plugin._TURBOMEM_FILE
    file.write_text(mode)
    found = turbomem(tmp_path, driver=driver, thp_mode=file)
    assert found[Pages.BASE].table == found[Pages.HUGETLB].table == 8
    assert found[Pages.THP].options == {"handler": "turbomem", "pages": "thp", "driver": str(driver)}
    assert (found[Pages.THP].unavailable is None) == possible
    assert possible or found[Pages.THP].unavailable.fix == f"echo madvise | sudo tee {file}"
