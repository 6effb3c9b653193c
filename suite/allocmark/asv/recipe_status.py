# SPDX-License-Identifier: BSD-3-Clause
"""What `recipe_environment` tells the benchmarks about the commit that is built: a file that a variable names."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

VARIABLE = "ASV_ALLOCMARK_STATUS"


@dataclass(frozen=True)
class Status:
    """``prefix``: the folder with the commit's backends. ``backends``: their labels, and that of the floor, the same
    for every commit. ``reasons``: by label, why one is not there."""

    commit: str
    prefix: str
    backends: Sequence[str]
    reasons: Mapping[str, str]
    workloads: Sequence[str]

    def write(self, file: Path) -> None:
        """For `read_status`."""
        file.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def read_status() -> Status:
    """The status of the commit that asv is at."""
    return Status(**json.loads(Path(os.environ[VARIABLE]).read_text(encoding="utf-8")))
