# SPDX-License-Identifier: BSD-3-Clause
"""A case of the acceptance kit, and its result."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Status = Literal["passed", "failed", "refused", "unavailable"]


@dataclass(frozen=True)
class KitResult:
    """The result of a case; ``reason`` is one line, "" when it passed.

    "refused": the backend would not make such a pool, which it may in this case. "unavailable": it cannot run here, or
    declares that it cannot do what the case checks. ``calls``: gets and puts that an audit checked. ``builds``: of what
    files, as `allocmark.measuring.attest.builds` has them; empty where that did not come to be known.
    """

    status: Status
    reason: str
    calls: int = 0
    builds: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class KitCase:
    """Something that is checked of one backend variant. ``str`` gives its name, unique for a variant."""

    backend: str
    version: str
    name: str
    _work: Callable[[], KitResult]

    def __str__(self) -> str:
        return self.name

    def run(self) -> KitResult:
        """Run the case in a process of its own. A crash of the backend is a result too: "failed"."""
        return self._work()

    def check(self) -> None:
        """For test suites: raises AssertionError when the case failed, and skips the test when it cannot run."""
        result = self.run()
        if result.status == "failed":
            raise AssertionError(f"{self.backend}, {self.name}: {result.reason}")
        if result.status != "passed":
            raise unittest.SkipTest(f"{result.status}: {result.reason}")
