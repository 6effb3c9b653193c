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

Besides the hooks a plugin may use what ``import allocmark`` offers, `allocmark.system.availability`, and the headers in
``allocmark.get_include()``. Everything else may change.

Hooks are called when something is listed, planned or attested, never during a measurement. If a hook raises, or returns
what cannot be used, only its own plugin is left out; ``allocmark list backends`` says why.
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
    """Return the variants of your allocator, also those that cannot run here.

    Called in the process that lists and plans, and again in the process of every cell: be quick, and start nothing. The
    table's ``init`` starts what needs to be started.
    """


@hookspec
def allocmark_workload_dirs() -> Sequence[Path]:  # type: ignore[empty-body]  # a specification has no body
    """Return folders with workload files (``*.yaml``) of your own; they are named like the bundled ones."""


@hookspec
def allocmark_probes() -> Sequence[Probe]:  # type: ignore[empty-body]  # a specification has no body
    """Return probes: they measure what is not time, in the process of a cell and between its samples."""
