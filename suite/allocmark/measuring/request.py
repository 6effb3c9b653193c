# SPDX-License-Identifier: BSD-3-Clause
"""What a person asks to be run. Kept in the run file, so that a run can be resumed as it was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

from msgspec import Meta

from allocmark.results.records import as_named, typed
from allocmark.stats import LOOKS

LONGEST_TIMEOUT = 999_999.0  #: seconds

_Positive = Annotated[int, Meta(ge=1, le=999_999)]


@dataclass(frozen=True)
class Request:
    """One run. ``workloads`` are names, of sets too, or paths; none means the default comparison, or the set ``group``.

    ``backends`` are ``NAME``, ``NAME:VARIANT`` (``*`` allowed in a variant), or ``so:PATH`` and ``preload:PATH`` for
    libraries, whose functions begin with ``prefix``. ``group``, one of `plan.GROUPS`, adds the default variants of its
    backends; without either it is the default comparison.

    ``overrides`` as on the command line: `allocmark run --set`. ``sample_ms`` is how long a sample should
    last, ``blocks`` how many samples a process takes, ``rounds`` how many processes a cell gets at most, those of
    rounds that are set aside not counted (then at most twice as many in all); ``budget`` in seconds ends the run before
    that. ``together``: a process takes its samples of a round one after another, and not in turns with the other
    backends. ``passes`` names what is measured beside the samples, what is timed in the first ``pass_rounds`` rounds
    (None: in as many as each pass says).
    """

    workloads: Sequence[str] = ()
    backends: Sequence[str] = ()
    overrides: Mapping[str, Sequence[str]] = field(default_factory=dict)
    short: bool = False
    seed: Annotated[int, Meta(ge=0, lt=10**18)] = 1
    verify: bool = False
    pin: bool = True
    together: bool = False
    passes: Sequence[str] = ()
    pass_rounds: _Positive | None = None
    rounds: _Positive = LOOKS[-1]
    blocks: _Positive = 8
    sample_ms: Annotated[float, Meta(gt=0, le=999_999)] = 3.0
    budget: Annotated[float, Meta(gt=0, lt=1e7)] | None = None
    timeout: Annotated[float, Meta(gt=0, le=LONGEST_TIMEOUT)] = 60.0
    group: str = ""
    prefix: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON-able; read back by `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, settings: Mapping[str, Any]) -> Request:
        """The inverse of `to_json`. Raises RecordError for what `to_json` never writes."""
        found = typed(cls, settings)
        return replace(
            found,
            workloads=[as_named(path) for path in found.workloads],
            backends=[as_named(path) for path in found.backends],
        )
