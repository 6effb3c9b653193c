# SPDX-License-Identifier: BSD-3-Clause
"""How traces are named, and those that come with allocmark."""

from __future__ import annotations

from pathlib import Path

import allocmark

SUFFIX = ".trace"
SET = "traces"  #: names all of the bundled ones
BUNDLED = Path(allocmark.__file__).parent / "bundled" / "traces"


def is_trace(name: str) -> bool:
    """Whether a workload is named that is a trace."""
    return name.endswith(SUFFIX)


def bundled_traces() -> list[Path]:
    """Their files, by name."""
    return sorted(BUNDLED.glob(f"*{SUFFIX}"))
