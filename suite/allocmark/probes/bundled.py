# SPDX-License-Identifier: BSD-3-Clause
"""The probes that come with allocmark."""

from __future__ import annotations

from allocmark.probes import Probe
from allocmark.probes.memory import MEMORY
from allocmark.probes.numa import NUMA
from allocmark.probes.pages import PAGES


def probes() -> list[Probe]:
    """All of them, in the order in which they are listed and run."""
    return [PAGES, MEMORY, NUMA]
