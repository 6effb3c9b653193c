# SPDX-License-Identifier: BSD-3-Clause
"""A plugin of asv: installs a commit again after an edit of the harness, and leaves `full.*`, `malloc.*` and `pools.*`
out unless they are named.

asv has no option for either, so this changes its classes, and asv is pinned to the version it was written for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asv.benchmarks import Benchmarks  # type: ignore[import-untyped]
from asv.plugins.virtualenv import Virtualenv  # type: ignore[import-untyped]

from .harness import fingerprint  # asv imports this as suite.asv_environment

ON_REQUEST = (
    "full",
    "malloc",
    "pools",
)  #: benchmarks whose name begins with one of these run only when ``--bench`` names it


class AllocmarkEnvironment(Virtualenv):  # type: ignore[misc]  # asv has no types
    """asv installs a commit again when a checksum changes; here the checksum covers the harness, too."""

    tool_name = "allocmark"

    def __init__(self, conf: Any, *arguments: Any) -> None:
        # The harness is the working tree that the benchmarks lie in, at suite/benchmarks.
        self._repository = Path(conf.benchmark_dir).absolute().parents[1]
        super().__init__(conf, *arguments)

    def _get_install_checksum(self) -> list[Any]:
        return [*super()._get_install_checksum(), fingerprint(self._repository)]


def _leave_out_unasked(discover: Any) -> Any:
    def discover_wanted(
        cls: type[Any], *arguments: Any, regex: str | Sequence[str] | None = None, **options: Any
    ) -> Benchmarks:
        found = discover(cls, *arguments, regex=regex, **options)
        asked = " ".join([regex] if isinstance(regex, str) else regex or [])
        unasked = tuple(f"{each}." for each in ON_REQUEST if each not in asked)
        return found.filter_out({name for name in found if name.startswith(unasked)})

    return discover_wanted


Benchmarks.discover = classmethod(_leave_out_unasked(Benchmarks.discover.__func__))
