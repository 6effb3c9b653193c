# SPDX-License-Identifier: BSD-3-Clause
"""Tables of a page: a column says how its entries are made; an entry is a text and what it is sorted by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from allocmark.output.text.figures import interval, plain, significant
from allocmark.stats import Estimate, Verdict


@dataclass(frozen=True)
class Datum:
    """One entry. ``sort`` is what it is sorted by (its text when None), ``note`` a second, smaller line.

    ``tone`` is a class of site.css.
    """

    text: str = ""
    sort: float | str | None = None
    href: str | None = None
    tone: str = ""
    note: str = ""


@dataclass(frozen=True)
class Column:
    """A column. ``entry`` makes the entry of a row: a `Datum`, or a text alone.

    ``right`` aligns figures, ``hint`` says unit and meaning where the title is too short to.
    """

    title: str
    entry: Callable[..., Datum | str]
    right: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a caption that says what its rows are.

    The columns up to ``key`` tell the rows apart; where the window is narrow, that one stays in it with all they say.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Datum, ...], ...]
    key: int = 0

    @classmethod
    def of(cls, caption: str, columns: Sequence[Column], items: Iterable[tuple[Any, ...]], key: str = "") -> Table:
        """A row for each of ``items``, whose members ``entry`` of every column gets; no column is empty throughout.

        ``key`` is the title of the last column that tells rows apart; the first column when it is left out.
        """
        rows = [[_datum(column.entry(*item)) for column in columns] for item in items]
        kept = [i for i in range(len(columns)) if any(row[i].text for row in rows)]
        last = next((i for i, column in enumerate(columns) if column.title == key), 0)
        shown = tuple(tuple(row[i] for i in kept) for row in rows)
        return cls(caption, tuple(columns[i] for i in kept), shown, max(sum(i <= last for i in kept) - 1, 0))

    def before_key(self, row: Sequence[Datum]) -> str:
        """What the columns before the key say of a row, with their names where they are numbers."""
        named = zip(self.columns[: self.key], row, strict=False)
        return " ".join(f"{c.title}={d.text}" if c.right else d.text for c, d in named if d.text)


def _datum(entry: Datum | str) -> Datum:
    return Datum(entry) if isinstance(entry, str) else entry


def member(title: str, key: str) -> Column:
    """A column for rows of one mapping, as they come from files: the text of its member ``key``."""
    return Column(title, lambda row: plain(str(row.get(key) or "")))


def number(found: Estimate | float | None, note: str = "") -> Datum:
    """A value, or that of an estimate; the empty entry sorts last."""
    value = found.value if isinstance(found, Estimate) else found
    return Datum() if value is None else Datum(significant(value), value, note=note)


def span(estimate: Estimate | None) -> Datum:
    """The interval of an estimate, sorted by its lower end."""
    return Datum() if estimate is None else Datum(interval(estimate), estimate.low)


def said(verdict: Verdict | None, otherwise: str = "") -> Datum:
    """A verdict, marked so that nothing rests on colour alone; ``otherwise`` where there is none."""
    return Datum(otherwise, tone="muted") if verdict is None else Datum(verdict.value, tone=tone(verdict))


def tone(verdict: Verdict) -> str:
    """The class of a verdict in site.css: its words, joined."""
    return verdict.value.replace(" ", "-")


def change(before: float, after: float) -> Datum:
    """How much more something costs than before, in per cent; nothing where it cost nothing before."""
    if before == 0:
        return Datum()
    share = after / before - 1
    return Datum(f"{share:+.1%}", share, tone=tone(Verdict.SLOWER if share > 0 else Verdict.FASTER))


def count(found: object) -> Datum:
    """A whole number with its thousands; nothing for anything else that a run file may hold."""
    return Datum(f"{found:,}", found) if isinstance(found, int) else Datum()


def percent(share: float) -> str:
    """A share in whole per cent, never broken over lines."""
    return f"{share * 100:.0f}\N{NO-BREAK SPACE}%"


def mib(n: float | None) -> Datum:
    """Bytes as MiB."""
    return Datum() if n is None else Datum(f"{n / 2**20:,.4g}", float(n))


def unbroken(name: str, href: str | None = None) -> Datum:
    """The name of a backend variant or of a set of parameters: never broken over lines."""
    return Datum(plain(name), href=href, tone="name")
