# SPDX-License-Identifier: BSD-3-Clause
"""What ``allocmark list`` prints: rows as dictionaries, and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from allocmark.output.text import WIDTH
from allocmark.output.text.figures import layout
from allocmark.plugins import Host


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
    """A row per workload file, damaged ones included; ``cases`` with all parameters, ``short`` with --short."""
    from allocmark.errors import WorkloadError
    from allocmark.workload.language.find import all_workloads

    rows: list[dict[str, Any]] = []
    for found in all_workloads(host.workload_dirs):
        if isinstance(found, WorkloadError):
            rows.append({"name": "", "cases": "", "short": "", "summary": f"cannot be used: {found}"})
        else:
            counts = {"cases": found.count(), "short": found.count(short=True)}
            rows.append({"name": found.name, **counts, "summary": found.summary})
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
            "plugin": plugin,
        }
        for probe, plugin in host.probes
    ]


def render(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of ``rows``, which have the same members; numbers stand to the right, empty columns are left out."""
    if not rows:
        return ""
    columns = list(rows[0])
    texts = [[_shown(row[key]) for key in columns] for row in rows]
    right = {key for key in columns if all(type(row[key] or 0) is int for row in rows)}
    return layout(columns, texts, right, WIDTH)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
