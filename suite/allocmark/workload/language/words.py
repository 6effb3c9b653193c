# SPDX-License-Identifier: BSD-3-Clause
"""How found values and unknown names are worded in errors."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_SHOWN = 48  # characters of a value that an error repeats
_LISTED = 24  # possible names that an error lists


def show(value: object) -> str:
    """A value as its author wrote it, cut short; always one line."""
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
    names = [str(each) for each in possible]
    close = get_close_matches(str(name), names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    more = ", …" if len(names) > _LISTED else ""
    listed = ", ".join(names[:_LISTED]) + more if names else "none"
    return f"unknown {what} {show(name)}; {hint}possible: {listed}"
