# SPDX-License-Identifier: BSD-3-Clause
"""The errors that people meet: one line each, caught once, by the command line; and how they word what was found."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SHOWN = 48  # characters of a value that an error repeats
_LISTED = 24  # possible names that an error lists
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[@-~]")  # colours and cursor movements


class AllocmarkError(Exception):
    """Its text says in one line what was found, where, and what to do. The command line prints it and exits with 2."""


class UsageError(AllocmarkError):
    """An unknown name, a value out of range, or something that this machine cannot do."""


class WorkloadError(AllocmarkError):
    """A workload file that cannot be used. Its text begins with ``FILE:LINE:``."""


class RunFileError(AllocmarkError):
    """A run file that is damaged, cut off or of a newer format."""


class TraceError(AllocmarkError):
    """A trace that is damaged, cut off, or none. Its text names the file and the offset in it."""


class EngineError(AllocmarkError):
    """The native engine or a backend's native code failed; the text is its own."""


class RefusedError(EngineError):
    """A backend refused its set-up, before it handed out any object; the text is its own. ``pool``: the one that it
    refused, by its number, or -1."""

    def __init__(self, text: str, pool: int = -1) -> None:
        super().__init__(text)
        self.pool = pool


def printable(text: str) -> str:
    """``text`` without what a terminal would obey: names and a process's last words may hold anything."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in _ESCAPES.sub("", text))


def show(value: object) -> str:
    """A value as a workload file writes it, cut short; always one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value[: _SHOWN + 1]) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def unknown(what: str, name: object, possible: Iterable[object]) -> str:
    """``unknown pool 'mbfu'; did you mean 'mbuf'? possible: large, mbuf``."""
    return f"unknown {what} {show(name)}; {suggest(name, possible)}"


def suggest(name: object, possible: Iterable[object]) -> str:
    """``did you mean 'mbuf'? possible: large, mbuf``; without the question when no name is close."""
    from difflib import get_close_matches  # only for an error: it takes longer than a command takes to start

    names = [str(each) for each in possible]
    close = get_close_matches(str(name), names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    more = ", …" if len(names) > _LISTED else ""
    return f"{hint}possible: {', '.join(names[:_LISTED]) + more if names else 'none'}"
