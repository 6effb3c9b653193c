# SPDX-License-Identifier: BSD-3-Clause
"""Every hook a plugin may implement.

A plugin is a module (or any object) named by an entry point of the group ``allocmark``::

    [project.entry-points.allocmark]
    mypool = "allocmark_mypool.plugin"

and in it::

    import allocmark

    @allocmark.hookimpl
    def allocmark_backends():
        return [allocmark.Backend(name="mypool", variant="default", ...)]

Hooks are called when something is listed, planned or attested, never inside a measurement. A hook that raises,
or returns what cannot be used, costs only its own plugin: see ``allocmark list backends``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from allocmark.backend import Backend
    from allocmark.probes import Probe

PROJECT = "allocmark"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def allocmark_backends() -> Sequence[Backend]:  # type: ignore[empty-body]  # a specification has no body
    """Return the variants of your allocator, the ones that cannot run here included.

    Called in the process that lists and plans and again in the process of every cell: be quick, and start
    nothing. What needs starting is started by the table's ``init``.
    """


@hookspec
def allocmark_workload_dirs() -> Sequence[Path]:  # type: ignore[empty-body]  # a specification has no body
    """Return folders with workload files (``*.yaml``) of your own; their workloads are found by name."""


@hookspec
def allocmark_probes() -> Sequence[Probe]:  # type: ignore[empty-body]  # a specification has no body
    """Return probes: what is measured beside time, in the process of a cell and outside its samples."""
