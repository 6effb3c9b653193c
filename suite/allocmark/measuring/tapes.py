# SPDX-License-Identifier: BSD-3-Clause
"""The tapes of a case. What a workload leaves to chance is drawn anew in each round, so that intervals cover it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from allocmark.errors import WorkloadError
from allocmark.workload.language.load import Scalar
from allocmark.workload.language.schema import Workload
from allocmark.workload.tape.alike import draws
from allocmark.workload.tape.compile import compile_workload
from allocmark.workload.tape.program import Program


@dataclass(frozen=True)
class Tapes:
    """Those of a file (``path``, ``digest``) with these ``parameters``, drawn from the run's ``seed``."""

    path: str
    digest: str
    parameters: str
    seed: int
    workload: Workload = field(compare=False)

    @classmethod
    def of(cls, path: str, digest: str, parameters: Mapping[str, Scalar], seed: int, workload: Workload) -> Tapes:
        """Of a workload that is filled in."""
        return cls(path, digest, json.dumps(parameters), seed, workload)

    @property
    def program(self) -> Program:
        """Of the first round, and of every round if nothing is left to chance. WorkloadError for what cannot run."""
        return _first(self)

    def of_round(self, number: int) -> Program:
        """Of the round with this ``number``. A draw that cannot run, as its pool is too small for it, is left out: the
        round has that of the first."""
        if number == 0 or not any(draws(actor.steps) for actor in self.workload.actors.values()):
            return self.program
        try:
            return compile_workload(self.workload, _seed(self.seed, number), self.path)
        except WorkloadError:
            return self.program


@lru_cache(maxsize=32)  # the cases of the acceptance kit, which is planned for one backend after another
def _first(tapes: Tapes) -> Program:
    return compile_workload(tapes.workload, tapes.seed, tapes.path)


def _seed(seed: int, number: int) -> int:
    digest = hashlib.blake2b(f"{seed}\0{number}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "little")
