# SPDX-License-Identifier: BSD-3-Clause
"""Builds one wheel from one source folder; digests of all that a wheel is made from name its place in the cache.

Standard library only: asv runs this in an environment where nothing else is installed yet.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from allocmark.errors import AllocmarkError
from allocmark.plugin_build import pkg_config

BUILD_SECONDS = 900  #: a build that takes longer is stopped

#: What builds leave in a working tree, and a commit does not have.
ignore_products = shutil.ignore_patterns(
    "build", "dist", "*.egg-info", "__pycache__", "*.so", "*.o", "_native.c", "_native.cpp", "_engine.cpp"
)

# What compilers and build tools read from the environment.
_FLAGS = re.compile(
    r"(ALLOCMARK_MARCH|CC|CXX|LD|AR|(C|CXX|CPP|LD)FLAGS|PKG_CONFIG.*|C(PLUS)?_INCLUDE_PATH|LIBRARY_PATH|DIST_.*)\Z"
)
_NOT_FOR_PIP = ("PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")
_ASK = """
import importlib.metadata, json, sys, sysconfig
print(json.dumps({
    "cc": sysconfig.get_config_var("CC"),
    "cxx": sysconfig.get_config_var("CXX"),
    "flags": sysconfig.get_config_var("CFLAGS"),
    "python": [sys.implementation.cache_tag, sysconfig.get_platform()],
    "tools": [importlib.metadata.version(name) for name in ("cffi", "setuptools")],
}))
"""


def build_wheel(lay_out: Callable[[Path], object], kept: Path, python: Path) -> tuple[Path | None, Path, str | None]:
    """The wheel in the folder ``kept``; built when it is not there, from what ``lay_out`` copies to a path.

    ``kept`` is complete as soon as it exists. Returns the wheel or None, the log of the build, and the reason, in one
    line, when there is no wheel. Nothing is downloaded.
    """
    kept.parent.mkdir(parents=True, exist_ok=True)
    log = kept.with_suffix(".log")
    reason = None if _wheel_in(kept) else _build(lay_out, kept, python, log)
    return _wheel_in(kept), log, reason


def _wheel_in(folder: Path) -> Path | None:
    return next(folder.glob("*.whl"), None)


def _build(lay_out: Callable[[Path], object], kept: Path, python: Path, log: Path) -> str | None:
    with TemporaryDirectory(prefix="building-", dir=kept.parent) as work:
        source = Path(work, kept.name)
        lay_out(source)
        options = ["--no-build-isolation", "--no-index", "--no-deps", "--wheel-dir", f"{work}/wheel"]
        with log.open("wb") as output:
            try:
                done = subprocess.run(
                    [str(python), "-m", "pip", "wheel", *options, str(source)],
                    cwd=work,
                    env=_pip_environ(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=BUILD_SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return f"its build took more than {BUILD_SECONDS} s"
        if done.returncode:
            return cause(log.read_text(errors="replace")).replace(f"{source}/", "")
        try:
            os.rename(f"{work}/wheel", kept)
        except OSError:
            if not kept.is_dir():  # otherwise another process has built the same
                raise
    return None


def pip(*arguments: str) -> None:
    """Run the pip of this Python. Raises AllocmarkError with the first line of its error when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments],
        env=_pip_environ(downloads="--no-index" not in arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise AllocmarkError(f"pip {arguments[0]} failed: {said[0] if said else f'exit status {done.returncode}'}")


def _pip_environ(downloads: bool = False) -> dict[str, str]:
    """The environment for a pip that asks nothing and sees only the packages of its own Python.

    Only one that ``downloads`` reads the user's settings, as they say from where, but not those that say where to.
    """
    environ = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_PIP}
    if not downloads:
        environ = {name: value for name, value in environ.items() if not name.startswith("PIP_")}
        environ["PIP_CONFIG_FILE"] = os.devnull
    return environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_USER": "0", "LC_ALL": "C"}


def digest(folder: Path) -> str:
    """A digest of the names, modes and contents of all files under ``folder``, without what builds leave there."""
    total = hashlib.sha256()
    for path in sorted(_files(folder)):
        content = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
        mode = path.lstat().st_mode & 0o120100  # as git: is it a link, can it be executed
        total.update(os.fsencode(f"{path.relative_to(folder)}\0{mode:o}\0{len(content)}\0") + content)
    return total.hexdigest()


def short_digest(*parts: str) -> str:
    """16 hexadecimal digits, for the name of a folder."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def toolchain(python: Path) -> str:
    """What a wheel depends on beside its sources: ``python``, compilers, flags, and installed libraries, as JSON.

    Raises AllocmarkError when ``python`` lacks cffi or setuptools.
    """
    tools = json.loads(ask(python, _ASK))
    return json.dumps([tools, *native_toolchain(tools["cc"], tools["cxx"])], sort_keys=True)


def native_toolchain(cc: str, cxx: str) -> list[Any]:
    """Compilers, flags, and installed libraries. ``cc`` and ``cxx`` are used where CC and CXX name no others."""
    compilers = [_version(os.environ.get(name) or compiler) for name, compiler in (("CC", cc), ("CXX", cxx))]
    return [compilers, {key: value for key, value in os.environ.items() if _FLAGS.match(key)}, _libraries()]


def ask(python: Path, code: str) -> str:
    """What ``code`` prints under ``python``. Raises AllocmarkError when it fails: something is not installed."""
    # -P: a file in the current folder must not be taken for a module.
    asked = subprocess.run(
        [str(python), "-P", "-c", code], capture_output=True, text=True, errors="replace", check=False
    )
    if asked.returncode:
        said = (asked.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise AllocmarkError(f"{python} cannot build backends: {said}; it needs allocmark, cffi and setuptools")
    return asked.stdout


def _files(folder: Path) -> Iterator[Path]:
    for parent, names, files in os.walk(folder):
        drop = ignore_products(parent, [*names, *files])
        links = [name for name in names if Path(parent, name).is_symlink()]
        names[:] = [name for name in names if name not in drop and name not in links]
        yield from (Path(parent, name) for name in [*files, *links] if name not in drop)


# Lines that tell a cause, the surest first; of compilers and linkers, and of make or a shell that lacks a tool.
_CAUSES = [
    re.compile(r"^\S+:\d+:.*\berror:|: undefined reference to |ld: cannot find"),
    re.compile(r"^\S*(make(\[\d+\])?|sh)\b.*: (command not found|not found|No such file or directory)$"),
]
_LONGEST = 300  # characters of a cause
# What make and pip say after the cause.
_FOLLOWS = re.compile(
    r"make(\[\d+\])?: \*\*\* \[.*\] Error \d+$|(note|hint): |error: [a-z]+(-[a-z]+)+$|"
    r"[\u00d7\u2502\u2570]|\[end of output\]$"  # of pip's drawing
)
_REMEDIES = {"invalid command 'bdist_wheel'": "pip install -U setuptools wheel"}


def cause(log: str) -> str:
    """The line of a log that tells the cause: the first error of a compiler or linker, or the first tool that is not
    there, or the last Python error, or what a build tool called an error, or the last line. A remedy that is known
    follows it."""
    every = [line for each in log.splitlines() if (line := " ".join(each.split()))]
    lines = [line for line in every if not _FOLLOWS.match(line)] or every
    told = [line for pattern in _CAUSES for line in lines if pattern.search(line)]
    pythons = [line for line in lines if re.match(r"\w*(Error|Exception): (?!subprocess|command)", line)]
    tools = [line for line in lines if line.startswith("error: ")]
    line = next(iter(told + pythons[-1:] + tools[-1:] + lines[-1:]), "its build failed and said nothing")
    line = line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
    return ": ".join([line, *(remedy for found, remedy in _REMEDIES.items() if found in line)])


def _version(compiler: str) -> str:
    try:
        asked = subprocess.run([*compiler.split(), "--version"], capture_output=True, text=True, errors="replace")
    except OSError:
        return "missing"
    return asked.stdout.partition("\n")[0]


def _libraries() -> list[str]:
    """The packages that pkg-config finds, with size and time: a wheel may contain inlined code of one."""
    path = pkg_config("--variable", "pc_path", "pkg-config") or ""
    folders = [*os.environ.get("PKG_CONFIG_PATH", "").split(os.pathsep), *path.split(os.pathsep)]
    files = {file for folder in folders if folder for file in Path(folder).glob("*.pc")}
    return sorted(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files if file.is_file())
