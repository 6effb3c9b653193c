# SPDX-License-Identifier: BSD-3-Clause
"""Libraries that are named by their path: ``-b so:/path/libfoo.so`` and ``-b preload:/path/libfoo.so``.

Each is loaded once in a process of its own when a run is planned, so that one that cannot be measured is refused before
anything is.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from allocmark.backend import LIBRARY_KINDS
from allocmark.errors import UsageError
from allocmark.malloc_library import GivenLibrary
from allocmark.plugins import BUILTIN, Registered
from allocmark.system.elf import LibraryFile, NotLoadableError
from allocmark.system.loading import with_tls_room

_SECONDS = 20.0  # that a library may take to be loaded
_ANSWER = "allocmark: "  # what a library itself prints does not begin so
_TRY = f"""
import json, sys
from allocmark.engine import malloc_problem
print("\\n{_ANSWER}" + (malloc_problem(json.load(sys.stdin)) or ""))
"""


def is_given(spec: str) -> bool:
    """Whether a backend is named as a library."""
    kind, colon, path = spec.partition(":")
    return kind in LIBRARY_KINDS and bool(colon and path)


def absolute(spec: str) -> str:
    """The same from any folder."""
    if not is_given(spec):
        return spec
    kind, _, path = spec.partition(":")
    return f"{kind}:{os.path.abspath(path)}"


def check_prefix(prefix: str, specs: Iterable[str]) -> None:
    """Raises UsageError for a prefix that belongs to nothing."""
    if prefix and not any(is_given(spec) and spec.startswith("so:") for spec in specs):
        raise UsageError(f"--prefix {prefix}: belongs to a library named with -b so:PATH, and none is")


def given_library(spec: str, prefix: str, beside: Sequence[Registered], *, among: Iterable[str] = ()) -> Registered:
    """The library of ``so:PATH`` or ``preload:PATH`` as a backend, under a name that none in ``beside`` has.

    ``among``: all that are named. A prefix that another of them has is not asked of a library with plain names.
    Raises UsageError when it cannot be measured.
    """
    kind, _, path = spec.partition(":")
    given = GivenLibrary(kind, path, prefix if kind == "so" else "")
    _check_file(spec, given)
    others = {other for other in among if is_given(other) and other.startswith("so:")} - {spec}
    lacks = given.prefix and "has no function" in _problem(given)
    if lacks and any(_has_prefix(other, prefix) for other in others):
        given = _plain(spec, given)
    for known in beside:
        if known.given == given:
            return known
    if problem := _problem(given):
        raise UsageError(f"{spec}: {problem}")
    stem = re.sub(r"\W+", "_", Path(path).name.partition(".so")[0].lower()).strip("_")
    stem = stem if re.match("[a-z]", stem) else f"lib_{stem}"
    taken = {known.backend.label for known in beside}
    names = [stem, *(f"{stem}-{number}" for number in range(2, len(beside) + 2))]
    variant = next(name for name in names if f"{kind}:{name}" not in taken)
    return Registered(given.backend(variant), BUILTIN, given=given)


def _plain(spec: str, given: GivenLibrary) -> GivenLibrary:
    plain = replace(given, prefix="")
    if _problem(plain):
        raise UsageError(
            f"{spec}: has neither {given.prefix}malloc and {given.prefix}free nor malloc and free: --prefix is for all "
            "libraries of a run, so measure it in another"
        )
    return plain


def _has_prefix(spec: str, prefix: str) -> bool:
    return not _problem(GivenLibrary("so", spec.partition(":")[2], prefix))


def _check_file(spec: str, given: GivenLibrary) -> None:
    try:
        LibraryFile.read(Path(given.path))
    except OSError as error:
        raise UsageError(f"{spec}: {error.strerror}: name the file of a shared library") from error
    except NotLoadableError as error:
        raise UsageError(f"{spec}: {error}: name the file of a shared library for this machine") from error
    if given.kind == "preload" and re.search(r"[\s:]", given.path):
        raise UsageError(f"{spec}: LD_PRELOAD takes no path with spaces or colons: copy the file")


@cache  # a run asks several times
def _problem(given: GivenLibrary) -> str:
    """Why it cannot be measured, or ""; it is loaded in a process of its own."""
    options = given.backend("asked").options
    with tempfile.TemporaryFile() as said:  # and no pipe, which a process that the library starts would keep open
        try:
            status = subprocess.run(
                [sys.executable, "-P", "-c", _TRY],
                input=json.dumps(dict(options)).encode(),
                stdout=said,
                stderr=subprocess.DEVNULL,
                timeout=_SECONDS,
                env=with_tls_room({**os.environ, **given.environ}),
                start_new_session=True,
            ).returncode
        except subprocess.TimeoutExpired:
            return f"was not loaded within {_SECONDS:g} s"
        said.seek(0)
        lines = said.read().decode(errors="replace").splitlines()
    if status < 0:
        return f"crashed the process that loaded it: {signal.strsignal(-status)}"
    answers = [line.removeprefix(_ANSWER) for line in lines if line.startswith(_ANSWER)]
    if status or not answers:
        return f"ended the process that loaded it, with exit status {status}"
    return answers[-1].removeprefix(given.path).strip()
