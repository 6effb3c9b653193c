# SPDX-License-Identifier: BSD-3-Clause
"""DPDKs that ALLOCMARK_DPDK names: each is what its own cells measure, and one that cannot be says why.

The prefix of the DPDK that the backend was built with is named in all of these; another one where there is one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from allocmark_dpdk import plugin
from allocmark_dpdk.prefix import Prefix
from allocmark_dpdk.release import Release, releases

import allocmark
from allocmark.engine import _engine
from fixtures.backend_cells import SMALL, attested

LIBRARIES = Path("lib")  # of a made prefix


def own_prefix() -> Path:
    found = allocmark.pkg_config("--variable=prefix", "libdpdk")
    if found is None:
        pytest.skip("no DPDK is installed")
    return Path(found)


def another_prefix() -> Path:
    named = os.environ.get("ALLOCMARK_DPDK", "").split(os.pathsep)
    for path in [*map(Path, filter(None, named)), *sorted(Path("/opt").glob("dpdk*"), reverse=True)]:
        if path != own_prefix() and [*path.glob("lib*/**/libdpdk.pc")]:
            return path
    pytest.skip("only one DPDK is installed: ALLOCMARK_DPDK may name another")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module", params=[own_prefix, another_prefix], ids=["own", "another"])
def built(request: pytest.FixtureRequest, cache: Path) -> Iterator[Prefix]:
    """One that is named and built."""
    path = request.param()
    said = [build(path).stdout for _ in range(2)]
    assert [line.rpartition(": ")[2] for line in said] == ["built\n", "is built already\n"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALLOCMARK_DPDK", str(path))
        yield Prefix.read(path)


def build(path: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "allocmark_dpdk.build", str(path)]
    return subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, timeout=120, check=False)


def suffix(version: str) -> str:
    return "-v" + version.replace(".", "_")


def library(variant: str) -> Path:
    """The file whose functions were called in the process of a cell."""
    found = attested(f"dpdk_ring:{variant}")
    assert "rte_mempool_create_empty" in found["library"]["calls"]
    return Path(found["library"]["file"])


def asked(question: str, *arguments: Path) -> Path:
    """The answer of a fresh process."""
    code = "import sys; from allocmark_dpdk.release import *; print(" + question + ")"
    command = [sys.executable, "-c", code, *arguments]
    return Path(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip())


def test_its_variants_are_named_by_its_version(built: Prefix) -> None:
    found = {backend.variant: backend for backend in plugin.allocmark_backends()}
    named = found[f"ring_mp_mc-base{suffix(built.version)}"]
    assert (named.version, named.unavailable, named.default) == (built.version, None, False)
    assert [problem for backend in found.values() for problem in backend.problems()] == []
    assert f"turbomem-base{suffix(built.version)}" not in found  # its driver is built for the other


@pytest.mark.parametrize("handler", ["ring_mp_mc", "stack", "bucket", "pktmbuf"])
def test_its_library_is_called(built: Prefix, handler: str) -> None:
    assert library(f"{handler}-base{suffix(built.version)}") == built.library("mempool").resolve()


def test_both_are_measured_in_one_run(built: Prefix, tmp_path: Path) -> None:
    backends = ["-b", "dpdk_ring:ring_mp_mc-base", "-b", f"dpdk_ring:ring_mp_mc-base{suffix(built.version)}"]
    settings = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    quick = ["--rounds", "1", "--blocks", "1", "--sample-ms", "1", "--no-latency", "--no-reuse", "--no-placement"]
    command = [sys.executable, "-m", "allocmark", "run", "burst", *settings, *backends, *quick, "--json", "run.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    cells = json.loads((tmp_path / "run.json").read_text())["cells"]
    own = allocmark.pkg_config("--modversion", "libdpdk")
    versions = {cell["variant"]: cell["version"] for cell in cells if cell["backend"] == "dpdk_ring"}
    assert versions == {"ring_mp_mc-base": own, f"ring_mp_mc-base{suffix(built.version)}": built.version}


def test_no_search_path_puts_another_in_its_place(built: Prefix, monkeypatch, tmp_path) -> None:
    """Copies of all libraries of DPDK that it uses, where the loader looks before all other folders."""
    used = subprocess.run(["ldd", built.module], capture_output=True, text=True, check=True).stdout
    libraries = re.findall(r"=> (\S+/librte_\S+)", used)
    assert str(built.libraries) in {os.path.dirname(each) for each in libraries}
    for each in libraries:
        shutil.copy(each, tmp_path)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    assert library(f"ring_mp_mc-base{suffix(built.version)}") == built.library("mempool").resolve()
    assert asked("Native(sys.argv[1]).file('eal')", built.module).parent == built.libraries  # nothing but its rpath
    if built.path == own_prefix():  # what is not named is found by that path
        assert asked("releases()[0].files['eal']").parent == tmp_path


def test_another_library_in_its_place_is_refused(built: Prefix, tmp_path: Path) -> None:
    copy = shutil.copy(built.library("eal"), tmp_path)
    release = Release(built.version, "", str(built.module), {"eal": copy})
    with pytest.raises(OSError, match=r"librte_eal would be that of .*, not "):
        release.load_table("mempool")


def test_two_of_one_version_have_two_names(cache: Path, monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "second").symlink_to(own_prefix())
    monkeypatch.setenv("ALLOCMARK_DPDK", f"{own_prefix()}:{tmp_path / 'second'}:{own_prefix()}")
    _, first, second = releases()
    assert second.suffix == f"{first.suffix}-2"


def test_one_that_is_not_built_says_how_to_build_it(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALLOCMARK_DPDK", str(own_prefix()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = [backend for backend in plugin.allocmark_backends() if "-v" in backend.variant]
    (missing,) = {backend.unavailable for backend in found}
    assert "is not built against yet" in missing.reason
    assert missing.fix == f"{sys.executable} -m allocmark_dpdk.build {own_prefix()}"


def test_what_a_module_is_built_from_is_in_its_name(made: Path, monkeypatch) -> None:
    before = Prefix.read(made).module
    assert Prefix.read(made).module == before
    (made / "include/rte_mempool.h").write_text("// changed")
    changed = Prefix.read(made).module
    monkeypatch.setenv("ALLOCMARK_MARCH", "x86-64-v3")
    assert len({before, changed, Prefix.read(made).module}) == 3


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """What looks like an installed DPDK."""
    prefix = tmp_path / "prefix"
    (prefix / LIBRARIES / "pkgconfig").mkdir(parents=True)
    (prefix / "include").mkdir()
    describe(prefix)
    shutil.copy(_engine.__file__, prefix / LIBRARIES / "librte_eal.so")  # a shared library for this machine
    return prefix


def describe(prefix: Path, version: str = "26.07.0", libdir: str = "${prefix}/lib") -> None:
    (prefix / LIBRARIES / "pkgconfig" / "libdpdk.pc").write_text(
        f"prefix={prefix}\nlibdir={libdir}\nName: DPDK\nDescription: made\nVersion: {version}\n"
        "Cflags: -I${prefix}/include\nLibs: -L${libdir}\n"
    )


def nothing(prefix: Path) -> None:
    shutil.rmtree(prefix)


def no_description(prefix: Path) -> None:
    (prefix / LIBRARIES / "pkgconfig" / "libdpdk.pc").unlink()


def needs_another(prefix: Path) -> None:
    file = prefix / LIBRARIES / "pkgconfig" / "libdpdk.pc"
    file.write_text(file.read_text() + "Requires: there-is-no-such-library\n")


def too_old(prefix: Path) -> None:
    describe(prefix, version="20.11.10")


def moved(prefix: Path) -> None:
    describe(prefix, libdir="/usr/local/lib")


def other_machine(prefix: Path) -> None:
    library = prefix / LIBRARIES / "librte_eal.so"
    data = bytearray(library.read_bytes())
    data[18:20] = (243).to_bytes(2, "little")  # e_machine
    library.write_bytes(data)


def no_library(prefix: Path) -> None:
    (prefix / LIBRARIES / "librte_eal.so").unlink()


@pytest.mark.parametrize(
    ("spoil", "reason", "fix"),
    [
        (nothing, "ALLOCMARK_DPDK names {}, which is not there", "install a DPDK there, or leave it out"),
        (no_description, "no DPDK is installed in {} (no lib*/pkgconfig/libdpdk.pc)", "meson setup --prefix={} "),
        (needs_another, "pkg-config cannot use {}/lib/pkgconfig/libdpdk.pc", "--print-errors --exists libdpdk"),
        (too_old, "DPDK 20.11.10 in {} is older than 22.11", "install a newer one"),
        (moved, "{}/lib/pkgconfig/libdpdk.pc says that its libraries are in /usr/local/lib", "--prefix={}"),
        (other_machine, "{}/lib/librte_eal.so is for riscv64, and this machine is ", "leave {} out of ALLOCMARK_DPDK"),
        (no_library, "{}/lib/librte_eal.so: No such file or directory", "leave {} out of ALLOCMARK_DPDK"),
    ],
)
def test_one_that_cannot_be_used_says_why(made: Path, monkeypatch, spoil: Any, reason: str, fix: str) -> None:
    spoil(made)
    monkeypatch.setenv("ALLOCMARK_DPDK", str(made))
    found = [backend for backend in plugin.allocmark_backends() if backend.variant not in OF_THE_OWN]
    (missing,) = {backend.unavailable for backend in found}
    assert [problem for backend in found for problem in backend.problems()] == []
    assert missing.reason.startswith(reason.format(made))
    assert fix.format(made) in missing.fix
    done = build(made)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"allocmark_dpdk.build: {missing.reason}: {missing.fix}\n"


OF_THE_OWN = {backend.variant for backend in plugin.variants(Release())}


def test_one_that_does_not_compile_names_the_log(made: Path, cache: Path) -> None:
    done = build(made)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    log = Path(line.rpartition("see ")[2])
    assert "cannot be built against DPDK 26.07.0" in line
    assert "rte_mbuf.h" in log.read_text()
