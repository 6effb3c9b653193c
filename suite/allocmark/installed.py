# SPDX-License-Identifier: BSD-3-Clause
"""Which plugins are installed. Apart from `plugins`: the process of a cell is told where its plugin is."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import Distribution, EntryPoints, distributions
from pathlib import Path

from allocmark.plugins import BrokenPlugin, Entry, Find, Host, brief, here, load_entries

GROUP = "allocmark"  #: the entry-point group
_ENTRY_POINTS = "entry_points.txt"


def load(prefix: str = "", *, around: Callable[[Entry, Find], Host] = here) -> Host:
    """Load the host's own plugin and every installed one into this process, as `load_entries` does.

    With ``prefix``, a folder that ``pip install --target`` filled, only the plugins in it are loaded.
    """
    found, unreadable = entries(prefix)
    host = load_entries(found, prefix, around=around)
    host.broken[:0] = unreadable
    return host


def entries(prefix: str = "") -> tuple[list[Entry], list[BrokenPlugin]]:
    """By name, those of this Python environment, or with ``prefix`` of that folder.

    Of a distribution that is there twice the first counts, and none that an interrupted installation left beside the
    new one (``~name``). Metadata that cannot be read costs no other distribution: the second list.
    """
    once: dict[str, tuple[Distribution, EntryPoints]] = {}
    broken = []
    for each in distributions(path=[prefix]) if prefix else distributions():
        try:
            if f"[{GROUP}]" not in (each.read_text(_ENTRY_POINTS) or ""):
                continue
            found = each.entry_points.select(group=GROUP)
        except (ValueError, TypeError) as error:  # bytes that are not UTF-8; a line that is cut off
            if not _is_left_over(each):
                why = f"has metadata that cannot be read: {_ENTRY_POINTS}: {brief(error)}: install it again"
                broken.append(BrokenPlugin(_folder(each).name, _distribution(each), why))
            continue
        key = canonical(_distribution(each))
        if key not in once or _is_left_over(once[key][0]):
            once[key] = each, found
    named = [Entry(each.name, each.value, _distribution(owner)) for owner, found in once.values() for each in found]
    return sorted(named), broken


def _folder(distribution: Distribution) -> Path:
    """That of its metadata."""
    return Path(str(getattr(distribution, "_path", "unknown")))


def _is_left_over(distribution: Distribution) -> bool:
    return _folder(distribution).name.startswith("~")


def canonical(distribution: str) -> str:
    """The name of "NAME VERSION" as package tools compare it."""
    return re.sub(r"[-_.]+", "-", distribution.split(" ")[0]).lower()


def _distribution(distribution: Distribution) -> str:
    name, version = (distribution.metadata[key] for key in ("Name", "Version"))
    return f"{name} {version}" if name else _folder(distribution).stem
