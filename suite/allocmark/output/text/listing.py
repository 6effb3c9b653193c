# SPDX-License-Identifier: BSD-3-Clause
"""What ``allocmark list`` prints: rows as dictionaries, and as a table."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from allocmark.output.text import WIDTH
from allocmark.output.text.figures import GAP, layout, plain, wrapped
from allocmark.plugins import Host

_BELOW = ("reason", "fix")  # of what cannot be used
_WRAPPED = ("description", "summary")
_LEAST = 32  # columns of a description
_SPARE = ("distribution", "plugin", "version", "pages")  # what a narrow terminal goes without, the first of them first


def backends(host: Host) -> list[dict[str, Any]]:
    """A row per variant, and one for each plugin that is not used."""
    used = [
        {
            "name": (backend := registered.backend).name,
            "variant": backend.variant,
            "default": backend.default,
            "version": backend.version,
            "pages": str(backend.pages),
            "available": backend.unavailable is None,
            "description": backend.description,
            "reason": backend.unavailable.reason if backend.unavailable else "",
            "fix": backend.unavailable.fix if backend.unavailable else "",
            "distribution": registered.distribution,
        }
        for registered in host.backends
    ]
    nothing = {"variant": "", "default": False, "version": "", "pages": "", "available": False, "fix": ""}
    return used + [
        {
            "name": broken.plugin,
            **nothing,
            "description": "a plugin that is not used",
            "reason": broken.cause,
            "distribution": broken.distribution,
        }
        for broken in host.broken
    ]


def workloads(host: Host) -> list[dict[str, Any]]:
    """A row per workload file, damaged ones included; ``cases`` with all parameters, ``short`` with --short. ``set``
    has the word default for the default comparison. Then one per bundled trace."""
    from allocmark.errors import WorkloadError
    from allocmark.traces.trace_file import Trace
    from allocmark.traces.trace_names import SET, bundled_traces
    from allocmark.workload.language.find import all_workloads, set_of

    rows: list[dict[str, Any]] = []
    for found in all_workloads(host.workload_dirs):
        if isinstance(found, WorkloadError):
            rows.append({"name": "", "set": "", "cases": "", "short": "", "summary": f"cannot be used: {found}"})
        else:
            belongs = "default" if found.default else set_of(found.path)
            counts = {"cases": found.count(), "short": found.count(short=True)}
            rows.append({"name": found.name, "set": belongs, **counts, "summary": found.summary})
    for path in bundled_traces():
        with Trace(path) as trace:
            told = f"A recorded program, for `allocmark replay`: {' '.join(trace.about.process.command)}"
            rows.append({"name": path.stem, "set": SET, "cases": 1, "short": 1, "summary": told})
    return rows


def probes(host: Host) -> list[dict[str, Any]]:
    """A row per probe."""
    return [
        {
            "name": probe.name,
            "unit": probe.unit,
            "available": not probe.unavailable,
            "description": probe.description,
            "reason": probe.unavailable,
            "plugin": entry.plugin,
        }
        for probe, entry in host.probes
    ]


def render(rows: Sequence[Mapping[str, Any]], width: int = WIDTH) -> str:
    """A table of ``rows``, which have the same members; numbers stand to the right, empty columns are left out.

    It fits ``width`` columns: the description is broken into lines, and what is spare is left out. Why something cannot
    be used stands below it, each reason once.
    """
    if not rows:
        return ""
    columns = [key for key in rows[0] if key not in _BELOW]
    texts = [[_shown(row[key]) for key in columns] for row in rows]
    right = {key for key in columns if all(type(row[key] or 0) is int for row in rows)}
    table = layout(columns, list(_broken(columns, texts, width)), right, width, _SPARE)
    return "\n".join([table, *_reasons(rows, width)])


def _broken(columns: Sequence[str], texts: Sequence[Sequence[str]], width: int) -> Iterator[list[str]]:
    """The rows, with the description broken into lines; those after the first are rows of their own."""
    at = next((i for i, name in enumerate(columns) if name in _WRAPPED), None)
    if at is None:
        yield from map(list, texts)
        return
    filled = {name: column for name, *column in zip(columns, *texts, strict=True) if any(column)}
    widths = {name: max(map(len, (name, *column))) + GAP for name, column in filled.items() if name != columns[at]}
    room = width - sum(widths.values())
    for name in _SPARE:
        if room < _LEAST:
            room += widths.pop(name, 0)
    for row in texts:
        first, *more = textwrap.wrap(row[at], max(room, _LEAST), break_on_hyphens=False) or [""]
        yield [*row[:at], first, *row[at + 1 :]]
        for line in more:
            yield [line if i == at else "" for i in range(len(columns))]


def _reasons(rows: Sequence[Mapping[str, Any]], width: int) -> Iterator[str]:
    named: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.get("reason"):
            label = ":".join(filter(None, (row["name"], row.get("variant"))))
            named.setdefault((row["reason"], row.get("fix", "")), []).append(label)
    for (reason, fix), labels in named.items():
        yield ""
        yield from wrapped(f"{', '.join(labels)}: {plain(reason)}", width)
        if fix:
            yield f"    to change that: {fix}"  # never wrapped: it is there to be copied


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
