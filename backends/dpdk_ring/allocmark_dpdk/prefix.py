# SPDX-License-Identifier: BSD-3-Clause
"""A folder in which a DPDK was installed, which ``ALLOCMARK_DPDK`` names, and the native module that is built for
it."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import allocmark
from allocmark import Unavailable
from allocmark.system.elf import LibraryFile, NotLoadableError

VARIABLE = "ALLOCMARK_DPDK"  #: names prefixes, with colons between them
OLDEST = (22, 11)

_SOURCES = Path(__file__).parent / "src"


class UnusableError(Exception):
    """Why there is nothing to measure in a folder. ``version``: of the DPDK there; "" when it is not known."""

    def __init__(self, reason: str, fix: str, version: str = "") -> None:
        super().__init__(f"{reason}: {fix}")
        self.unavailable = Unavailable(reason, fix)
        self.version = version


def named_prefixes() -> list[Path]:
    """The folders that ``ALLOCMARK_DPDK`` names, each once."""
    names = filter(None, os.environ.get(VARIABLE, "").split(os.pathsep))
    return list(dict.fromkeys(Path(name).absolute() for name in names))


@dataclass(frozen=True)
class Prefix:
    """An installed DPDK that can be built against. ``libraries`` is the folder of its libraries."""

    path: Path
    version: str
    libraries: Path

    @classmethod
    def read(cls, path: Path) -> Prefix:
        """Raises UnusableError."""
        if not path.is_dir():
            raise UnusableError(f"{VARIABLE} names {path}, which is not there", "install a DPDK there, or leave it out")
        found = sorted({*path.glob("lib*/pkgconfig/libdpdk.pc"), *path.glob("lib*/*/pkgconfig/libdpdk.pc")})
        if not found:
            build = f"meson setup --prefix={shlex.quote(str(path))} build && ninja -C build install"
            raise UnusableError(f"no DPDK is installed in {path} (no lib*/pkgconfig/libdpdk.pc)", build)
        # Where there are libraries for several machines: those for this one.
        return cls._of(path, next((file for file in found if _machine_problem(file) is None), found[0]))

    @classmethod
    def _of(cls, path: Path, description: Path) -> Prefix:
        folder = description.parent
        version = allocmark.pkg_config("--modversion", "libdpdk", folder=folder)
        if version is None:
            ask = f"PKG_CONFIG_PATH={shlex.quote(str(folder))} pkg-config --print-errors --exists libdpdk"
            raise UnusableError(f"pkg-config cannot use {description}", ask)
        if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST:
            raise UnusableError(f"DPDK {version} in {path} is older than 22.11", "install a newer one", version)
        if problem := _machine_problem(description):
            raise UnusableError(problem, f"leave {path} out of {VARIABLE}", version)
        libraries = allocmark.pkg_config("--variable=libdir", "libdpdk", folder=folder) or ""
        if Path(libraries).resolve() != folder.parent.resolve():
            moved = f"{description} says that its libraries are in {libraries}"
            raise UnusableError(moved, f"install DPDK with --prefix={shlex.quote(str(path))}", version)
        return cls(path, version, folder.parent)

    def library(self, name: str) -> Path:
        """The file of ``librte_NAME``."""
        return self.libraries / f"librte_{name}.so"

    @property
    def build_command(self) -> str:
        """What makes `module`."""
        return f"{sys.executable} -m allocmark_dpdk.build {shlex.quote(str(self.path))}"

    @cached_property
    def compile_command(self) -> list[str]:
        """What compiles `module`, less ``-o FILE``."""
        # DPDK's headers are not ours to warn about.
        headers = [f"-isystem{flag[2:]}" if flag.startswith("-I") else flag for flag in self._flags("--cflags")]
        return [
            *shlex.split(os.environ.get("CC") or "cc"),
            *("-std=gnu11", "-shared", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"),
            *headers,
            f"-I{allocmark.get_include()}",
            *allocmark.get_compile_args(),
            *map(str, sorted(_SOURCES.glob("*.c"))),
            "-Wl,--as-needed",
            # DT_RPATH, which counts more than LD_LIBRARY_PATH, and for what the libraries need, too.
            *("-Wl,--disable-new-dtags", "-Xlinker", "-rpath", "-Xlinker", str(self.libraries)),
            f"-L{self.libraries}",
            *self._flags("--libs"),
        ]

    @cached_property
    def module(self) -> Path:
        """The file of the native module: its name says what it is built from."""
        key = hashlib.sha256("\0".join(self.compile_command).encode())
        for own in sorted({*_SOURCES.iterdir(), *Path(allocmark.get_include(), "allocmark").iterdir()}):
            key.update(own.read_bytes())
        folders = [flag.removeprefix("-isystem") for flag in self.compile_command if flag.startswith("-isystem")]
        headers = {file for folder in folders for file in Path(folder).glob("rte_*.h")}
        for file in sorted(filter(Path.is_file, headers | {*self.libraries.glob("librte_*.so")})):
            about = file.stat()
            key.update(f"{file} {about.st_mtime_ns} {about.st_size}".encode())
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "allocmark" / "dpdk" / f"{self.version}-{key.hexdigest()[:20]}.so"

    def _flags(self, what: str) -> list[str]:
        return shlex.split(allocmark.pkg_config(what, "libdpdk", folder=self.libraries / "pkgconfig") or "")


def _machine_problem(description: Path) -> str | None:
    """Why the libraries beside a libdpdk.pc cannot be loaded here."""
    library = description.parents[1] / "librte_eal.so"
    try:
        LibraryFile.read(library)
    except OSError as error:
        return f"{library}: {error.strerror}"
    except NotLoadableError as error:
        return f"{library} {error}"
    return None
