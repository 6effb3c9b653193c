# SPDX-License-Identifier: BSD-3-Clause
"""Tables of a page: texts as people read them, beside the values they are sorted by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from allocmark.output.text.figures import figure, interval
from allocmark.stats import Estimate, Verdict

#: How a verdict is marked, so that nothing rests on colour alone.
TONES = {
    Verdict.FASTER: "cheaper",
    Verdict.SLOWER: "dearer",
    Verdict.SAME: "same",
    Verdict.CANNOT_TELL: "unsure",
}


@dataclass(frozen=True)
class Column:
    """A column; ``right`` aligns figures, ``hint`` says unit and meaning where the title is too short to."""

    title: str
    right: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Datum:
    """One entry. ``sort`` is what it is sorted by (its text when None), ``note`` a second, smaller line."""

    text: str = ""
    sort: float | str | None = None
    href: str | None = None
    tone: str = ""
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a caption that says what its rows are."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Datum, ...], ...]

    @classmethod
    def of(cls, caption: str, columns: Sequence[Column], rows: Sequence[Sequence[Datum]]) -> Table:
        """Leaves out the columns in which every entry is empty."""
        kept = [i for i in range(len(columns)) if any(row[i].text for row in rows)]
        return cls(caption, tuple(columns[i] for i in kept), tuple(tuple(row[i] for i in kept) for row in rows))


def text(words: str, tone: str = "", href: str | None = None) -> Datum:
    """An entry of words."""
    return Datum(words, href=href, tone=tone)


def number(estimate: Estimate | None, tone: str = "") -> Datum:
    """The value of an estimate; the empty entry sorts last."""
    return Datum() if estimate is None else Datum(figure(estimate), estimate.value, tone=tone)


def span(estimate: Estimate | None) -> Datum:
    """The interval of an estimate, sorted by its lower end."""
    return Datum() if estimate is None else Datum(interval(estimate), estimate.low)


def said(verdict: Verdict | None, otherwise: str = "") -> Datum:
    """A verdict, marked; ``otherwise`` where there is none."""
    return Datum(otherwise, tone="muted") if verdict is None else Datum(verdict.value, tone=TONES[verdict])


def count(n: float | None, unit: str = "") -> Datum:
    """A whole number with its thousands."""
    return Datum() if n is None else Datum(f"{n:,.0f}{unit}", float(n))


def whole(found: object) -> Datum:
    """A whole number from a run file; nothing when it is anything else."""
    return count(found) if isinstance(found, int) else Datum()


def percent(share: float) -> str:
    """A share in whole per cent, never broken over lines."""
    return f"{share * 100:.0f}\N{NO-BREAK SPACE}%"


def mib(n: float | None) -> Datum:
    """Bytes as MiB."""
    return Datum() if n is None else Datum(f"{n / 2**20:,.4g}", float(n))


def unbroken(name: str, href: str | None = None) -> Datum:
    """The name of a backend variant or of a set of parameters: never broken over lines."""
    return Datum(name, href=href, tone="name")
