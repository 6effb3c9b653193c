# SPDX-License-Identifier: BSD-3-Clause
"""What a person asks to be run. Kept in the run file, so that a run can be resumed as it was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Request:
    """One run. ``workloads`` are names or paths; none means the default comparison.

    ``backends`` are ``NAME`` or ``NAME:VARIANT`` (``*`` allowed in a variant); none means every backend's default
    variant. ``overrides`` as on the command line: `allocmark run --set`. ``sample_ms`` is how long a sample should
    last, ``blocks`` how many samples a cell gets. ``latency`` and ``reuse`` ask for the passes of those names.
    """

    workloads: Sequence[str] = ()
    backends: Sequence[str] = ()
    overrides: Mapping[str, Sequence[str]] = field(default_factory=dict)
    short: bool = False
    seed: int = 1
    verify: bool = False
    pin: bool = True
    latency: bool = True
    reuse: bool = True
    blocks: int = 100
    sample_ms: float = 25.0
    timeout: float = 60.0

    def to_json(self) -> dict[str, Any]:
        """JSON-able; read back by `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Request:
        """The inverse of `to_json`. Raises TypeError or ValueError for what `to_json` never writes."""
        request = cls(**document)
        for name, kind in _KINDS.items():
            value = getattr(request, name)
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
                raise ValueError(f"{name} is {value!r}")
        return request


_KINDS: dict[str, type | tuple[type, ...]] = {
    "workloads": list,
    "backends": list,
    "overrides": dict,
    "short": bool,
    "seed": int,
    "verify": bool,
    "pin": bool,
    "latency": bool,
    "reuse": bool,
    "blocks": int,
    "sample_ms": (int, float),
    "timeout": (int, float),
}
