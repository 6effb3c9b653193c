# SPDX-License-Identifier: BSD-3-Clause
"""Programs of several shared objects, each with TurboMem's code in it: pools that they hand to each other, plugins that
come and go, and many of them."""

from __future__ import annotations

import shutil
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from native_programs import ROOT, WARNINGS, registered, run

SHARED = ROOT / "tests" / "shared"
COMPILERS = ["g++", "clang++"]
#: how each kind is compiled by default; `make test-long` has the other compiler, too
BY = {
    "per_thread": "g++",
    "size_classes": "clang++",
    "per_cpu": "clang++",
    "checked": "clang++",
    "checked_plainly": "clang++",
}
#: what the pools are, as plugin.hpp takes it
KINDS = {
    "per_thread": [],
    "size_classes": ["-DCLASSES"],
    "per_cpu": ["-DTHREADS=per_cpu"],
    "checked": ["-DCHECKED", "-fsanitize=address"],
    "checked_plainly": ["-DCHECKED"],
}
HIDDEN = ["-fvisibility=hidden", "-fvisibility-inlines-hidden"]
#: g++ marks objects of the standard library in a way that keeps what has them mapped for ever
UNLOADABLE = {"g++": ["-fno-gnu-unique"], "clang++": []}
COUNT = 40


def by_compilers(*kinds: str) -> list[Any]:
    """(compiler, kind), as parametrize takes them."""
    pairs = product(COMPILERS, kinds)
    return [pytest.param(by, kind, marks=[] if by == BY[kind] else [pytest.mark.long]) for by, kind in pairs]


class Programs:
    """The host and plugins of one kind, compiled on demand, once for each set of flags."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def compile(self, source: str, name: str, compiler: str, kind: str, *flags: str) -> Path:
        if shutil.which(compiler) is None:
            pytest.skip(f"{compiler} is not installed: apt install {compiler.removesuffix('++')}")
        out = self.folder / f"{name}-{compiler}-{kind}"
        if not out.exists():
            run(compiler, "-std=c++20", "-O0", *WARNINGS, *KINDS[kind], *flags, SHARED / source, "-o", out, "-ldl")
        return out

    def host(self, compiler: str, kind: str) -> Path:
        return self.compile("host.cpp", "host", compiler, kind, *HIDDEN)

    def plugin(self, compiler: str, kind: str, name: str = "plugin", *flags: str) -> Path:
        return self.compile(
            "plugin.cpp", name, compiler, kind, "-shared", "-fPIC", *(flags or [*HIDDEN, *UNLOADABLE[compiler]])
        )


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return Programs(tmp_path_factory.mktemp("shared"))


def copies(plugin: Path, folder: Path, n: int) -> list[Path]:
    """The loader takes each file for a library of its own."""
    return [Path(shutil.copy(plugin, folder / f"{i}.so")) for i in range(n)]


@pytest.mark.parametrize(("compiler", "kind"), by_compilers(*KINDS))
def test_a_pool_is_itself_in_every_shared_object(programs: Programs, tmp_path: Path, compiler: str, kind: str) -> None:
    files = copies(programs.plugin(compiler, kind), tmp_path, 2)
    run(programs.host(compiler, kind), "crosswise", *files)
    run("env", "GLIBC_TUNABLES=glibc.pthread.rseq=0", programs.host(compiler, kind), "crosswise", *files)


def test_a_pool_is_itself_for_two_compilers_and_visibilities(programs: Programs) -> None:
    files = [
        programs.plugin("clang++", "per_thread"),
        programs.plugin("g++", "per_thread", "visible", "-fvisibility=default"),
    ]
    run(programs.host("g++", "per_thread"), "crosswise", *files)


@pytest.mark.parametrize(("compiler", "kind"), by_compilers(*(kind for kind in KINDS if kind != "checked")))
def test_a_plugin_may_be_unloaded(programs: Programs, tmp_path: Path, compiler: str, kind: str) -> None:
    files = copies(programs.plugin(compiler, kind), tmp_path, 3)
    output = run(programs.host(compiler, kind), "unload", *files)
    if kind == "per_cpu" and registered():
        assert output.startswith("0 of ")


@pytest.mark.parametrize(("compiler", "kind"), by_compilers("per_thread"))
def test_a_thread_may_end_when_the_pool_and_its_maker_are_gone(programs: Programs, compiler: str, kind: str) -> None:
    run(programs.host(compiler, kind), "outlive", programs.plugin(compiler, kind))


@pytest.mark.parametrize(("compiler", "kind"), by_compilers("per_thread", "size_classes", "checked_plainly"))
def test_a_pool_is_used_forked_with_and_closed_when_its_maker_is_gone(
    programs: Programs, compiler: str, kind: str
) -> None:
    run(programs.host(compiler, kind), "orphan", programs.plugin(compiler, kind))


@pytest.mark.parametrize(("compiler", "kind"), by_compilers("per_thread"))
def test_a_thread_keeps_little_of_pools_that_a_plugin_closed(programs: Programs, compiler: str, kind: str) -> None:
    run(programs.host(compiler, kind), "serve", programs.plugin(compiler, kind))


@pytest.mark.parametrize(("compiler", "kind"), by_compilers("per_cpu"))
def test_a_first_call_on_per_cpu_allocates_nothing(programs: Programs, compiler: str, kind: str) -> None:
    """Not even thread-local storage: it may come from a signal handler that interrupted malloc."""
    if not registered():
        pytest.skip("needs restartable sequences: per_cpu is per_thread here")
    run(programs.host(compiler, kind), "interrupt", programs.plugin(compiler, kind))


@pytest.mark.parametrize(("compiler", "kind"), by_compilers("per_thread"))
def test_many_plugins_load(programs: Programs, tmp_path: Path, compiler: str, kind: str) -> None:
    files = copies(programs.plugin(compiler, kind), tmp_path, COUNT)
    assert f"{COUNT} plugins" in run(programs.host(compiler, kind), "load", *files)
