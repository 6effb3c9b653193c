# SPDX-License-Identifier: BSD-3-Clause
"""What is shown of a backend's sizes, for a terminal and for a page: the entries of its table, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from allocmark.output.text.figures import plain, significant
from allocmark.sizing.advice import advice, knee
from allocmark.sizing.sized import Sized, SizedBackend, SizedCase


class SizeEntry(NamedTuple):
    """``value`` is what a text stands for, where that is a number."""

    text: str = ""
    value: float | None = None


@dataclass(frozen=True)
class SizeRows:
    """The table of a backend: ``rows`` has an entry for each of ``headers``, and is as long as ``sizes``."""

    label: str
    headers: Sequence[str]
    rows: Sequence[Sequence[SizeEntry]]
    sizes: Sequence[Sized]
    knee: Sized | None
    problem: str  #: why there are no more rows, or ""
    advice: str

    @property
    def refused(self) -> Mapping[int, str]:
        """Rows, by their place, of sizes that the backend cannot have, and why."""
        return {row: f"refused: {plain(size.refused)}" for row, size in enumerate(self.sizes) if size.refused}


@dataclass(frozen=True)
class CaseRows:
    title: str
    backends: Sequence[SizeRows]


def case_rows(case: SizedCase) -> CaseRows:
    """What is shown of a case."""
    return CaseRows(plain(case.title), [_backend(backend) for backend in case.backends])


def _backend(backend: SizedBackend) -> SizeRows:
    chosen = knee(backend.sizes)
    columns: dict[str, Callable[[Sized], SizeEntry]] = {
        "cache": _cache,
        "keeps": _keeps,
        **_smallest(backend),
        "stranded": _stranded,
        **_COLUMNS,
        "knee": lambda size: SizeEntry("knee" if size is chosen else ""),
    }
    return SizeRows(
        label=plain(backend.label),
        headers=[*columns],
        rows=[[entry(size) for entry in columns.values()] for size in backend.sizes],
        sizes=backend.sizes,
        knee=chosen,
        problem=f"{backend.status}: {plain(backend.reason)}" if backend.reason else "",
        advice=advice(backend),
    )


def _number(value: float | None, write: str) -> SizeEntry:
    return SizeEntry() if value is None else SizeEntry(write.format(value), value)


def _cache(size: Sized) -> SizeEntry:
    """Nothing for an allocator, which has no cache that could be asked for."""
    return SizeEntry() if size.pools and size.pools[0].smallest is None else _number(size.cache, "{:,}")


def _keeps(size: Sized) -> SizeEntry:
    return SizeEntry(", ".join(dict.fromkeys(plain(pool.keeps) for pool in size.pools)))


def _smallest(backend: SizedBackend) -> dict[str, Callable[[Sized], SizeEntry]]:
    """A column for each pool."""

    def column(index: int) -> Callable[[Sized], SizeEntry]:
        return lambda size: _number(size.pools[index].smallest, "{:,}") if size.pools else SizeEntry()

    pools = next((size.pools for size in backend.sizes if size.pools), ())
    return {f"{plain(pool.name)} ≥": column(index) for index, pool in enumerate(pools)}


def _stranded(size: Sized) -> SizeEntry:
    known = [pool.stranded for pool in size.pools if pool.stranded is not None]
    return _number(sum(known), "{:,}") if known else SizeEntry()


def _trips(size: Sized) -> SizeEntry:
    silent = not size.knows_trips and not size.refused
    return SizeEntry("does not say") if silent else _number(size.trips_per_object, "{:.4f}")


def _burst(size: Sized) -> SizeEntry:
    burst = size.average_burst
    return SizeEntry() if burst is None else SizeEntry(significant(burst), burst)


def _places(name: str, write: str) -> Callable[[Sized], SizeEntry]:
    return lambda size: _number(getattr(size.memory, name), write) if size.memory else SizeEntry()


#: The columns behind the pools', in their order: a header, and what it shows.
_COLUMNS: Mapping[str, Callable[[Sized], SizeEntry]] = {
    "trips/object": _trips,
    "average burst": _burst,
    "get miss rate": lambda size: _number(size.gets.miss_rate if size.knows_trips else None, "{:.2%}"),
    "put miss rate": lambda size: _number(size.puts.miss_rate if size.knows_trips else None, "{:.2%}"),
    "in the smallest": lambda size: _number(size.tight, "{:.4f}"),
    "2 MB pages": _places("pages_2m", "{:.1f}"),
    "4 KB pages": _places("pages_4k", "{:.0f}"),
    "lines": _places("lines", "{:.0f}"),
}

#: What the columns mean.
LEGEND = (
    "≥: the smallest pool with which no get fails, counted with the actors in turn, a call each; threads that run at "
    "the same time can need a few bulks more. stranded: objects of it that lie in caches where the actor that gets "
    "cannot reach them; empty where the backend makes no smaller pool. trips/object: how often gets and puts go to "
    "what all threads share, per object got, in a pool with room to spare; in the smallest: in that one. miss rate: "
    "trips per object got or put. average burst: objects that a trip moves. Pages and lines: distinct ones in 1,000 "
    "objects that an actor gets. knee: the smallest cache with at most one trip per 100 objects more than the best."
)
