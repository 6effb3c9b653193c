# SPDX-License-Identifier: BSD-3-Clause
"""The host's own plugin, registered like any other: the floor, the bundled workloads and probes."""

from __future__ import annotations

from pathlib import Path

from allocmark import __version__
from allocmark.backend import Backend, Capabilities
from allocmark.hookspecs import hookimpl
from allocmark.probes import Probe


@hookimpl
def allocmark_backends() -> list[Backend]:
    from allocmark.engine import null_table

    return [
        Backend(
            name="null",
            variant="default",
            description="the floor: hands out preallocated objects, which costs next to nothing",
            version=__version__,
            table=null_table(),
            capabilities=Capabilities(any_size=True),
            default=True,
            floor=True,
        )
    ]


@hookimpl
def allocmark_workload_dirs() -> list[Path]:
    return [Path(__file__).parent / "bundled"]


@hookimpl
def allocmark_probes() -> list[Probe]:
    from allocmark.probes.nodes import NUMA
    from allocmark.probes.page_kinds import PAGES
    from allocmark.probes.resident import MEMORY

    return [PAGES, MEMORY, NUMA]
