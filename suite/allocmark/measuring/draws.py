# SPDX-License-Identifier: BSD-3-Clause
"""Where memory lies in each process, drawn from the run's seed.

A process's place in memory can double a cost: two hot cache lines may exclude one another. Address randomisation draws
part of it. The rest would be the same in every process, so it is drawn here: how long the environment block is, which
moves the stack of the main thread, and where the engine puts its own memory and in which order it creates the pools.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

PADDING = "ALLOCMARK_PADDING"  #: a variable that nobody reads
_MOST_PADDING = 4096


@dataclass(frozen=True)
class Draw:
    """The draws of one process: those of one cell in one ``round``. ``engine`` seeds those of the engine."""

    round: int
    padding: int
    engine: int

    @classmethod
    def of(cls, seed: int, case: str, cell: str, number: int) -> Draw:
        """Those of the round with this ``number``: the same for the same arguments, on any machine."""
        digest = hashlib.blake2b(f"{seed}\0{case}\0{cell}\0{number}".encode(), digest_size=16).digest()
        engine = int.from_bytes(digest[:6], "little") + 1  # 0 draws nothing
        return cls(number, int.from_bytes(digest[8:], "little") % _MOST_PADDING, engine)

    def of_block(self, block: int) -> int:
        """What seeds the engine's draws in this block: those of the first one are the process's."""
        return self.engine + block

    def environ(self) -> dict[str, str]:
        """Variables that the process is to have."""
        return {PADDING: "x" * self.padding}

    def drawn(self) -> dict[str, Any]:
        """What is drawn outside the engine, for the run file."""
        return {"padding": self.padding}
