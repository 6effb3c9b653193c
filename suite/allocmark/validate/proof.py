# SPDX-License-Identifier: BSD-3-Clause
"""What a proof found, and whether its figures keep their limits."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from allocmark.stats import ERROR, Estimate, estimate, share_bounds

_ROUNDING = 1e-9  #: of a bound


class Holds(enum.StrEnum):
    """Whether a figure keeps its limit."""

    YES = "yes"
    NO = "no"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Figure:
    """One figure: what it is of, how it is written, and its limit in words. ``holds`` is None where it has no limit."""

    what: str
    value: float | None
    text: str
    limit: str = ""
    holds: Holds | None = None


@dataclass(frozen=True)
class Finding:
    """What a proof found. ``measured`` says with what; ``notes`` are for people, a line each."""

    figures: Sequence[Figure]
    measured: Mapping[str, Any]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Proof:
    """A proof that was done."""

    name: str
    figures: Sequence[Figure]
    seconds: float
    measured: Mapping[str, Any]
    notes: Sequence[str] = field(default=())

    @property
    def holds(self) -> Holds:
        """No as soon as one figure is beyond its limit, yes only when none is in doubt."""
        said = {figure.holds for figure in self.figures}
        if Holds.NO in said:
            return Holds.NO
        return Holds.CANNOT_TELL if Holds.CANNOT_TELL in said or said <= {None} else Holds.YES


def at_least(found: int, n: int, limit: float, enough: int) -> Holds:
    """Whether something happens in a share ``limit`` or more, when it happened ``found`` times of ``n``.

    What the bounds of the share leave open is told by the share itself, from ``enough`` tries on.
    """
    low, high = share_bounds(found, n)
    if low >= limit:
        return Holds.YES
    if high < limit - _ROUNDING:
        return Holds.NO
    if n < enough:
        return Holds.CANNOT_TELL
    return Holds.YES if found >= limit * n else Holds.NO


def at_most(found: int, n: int, limit: float, enough: int) -> Holds:
    """The same for a share of ``limit`` or less."""
    return at_least(n - found, n, 1 - limit, enough)


def ratio_of(logs: Sequence[float], figures: int) -> Estimate | None:
    """The median ratio of ``logs``, each of a process; ``figures`` share the error allowed. None without any."""
    if not logs:
        return None
    found = estimate(logs, 1 - ERROR / figures)
    value, low, high = map(math.exp, (found.value, found.low, found.high))
    return Estimate(value, low, high, found.n, found.covered)


def beyond(ratio: Estimate | None) -> str:
    """By how much a ratio differs from 1, with its interval."""
    if ratio is None:
        return "not measured"
    value, low, high = (_signed(100 * each - 100) for each in (ratio.value, ratio.low, ratio.high))
    return f"{value} % " + (f"[{low}, {high}]" if ratio.covered else f"({low}, {high})")


def _signed(percent: float) -> str:
    return f"{percent:+.1f}" if abs(percent) < 10 else f"{percent:+.0f}"


def within(ratio: Estimate | None, limit: float) -> Holds:
    """Whether a ratio is nearer to 1 than ``limit`` (0.05 is 5 %), by its whole interval."""
    if ratio is None or not ratio.covered:
        return Holds.CANNOT_TELL
    if ratio.low * (1 + limit) >= 1 and ratio.high <= 1 + limit:
        return Holds.YES
    return Holds.NO if ratio.high * (1 + limit) < 1 or ratio.low > 1 + limit else Holds.CANNOT_TELL
