# SPDX-License-Identifier: BSD-3-Clause
"""Sizes as text, and as a document for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from allocmark.output.text.figures import layout, plain, significant, wrapped
from allocmark.sizing.advice import advice, knee
from allocmark.sizing.sized import Sized, SizedBackend, SizedCase


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"


def _places(name: str, write: str) -> Callable[[Sized], str]:
    return lambda size: write.format(getattr(size.memory, name)) if size.memory else ""


#: The columns behind the pools', in their order: a header, and what it shows.
_COLUMNS: Mapping[str, Callable[[Sized], str]] = {
    "trips/object": lambda size: "" if size.trips_per_object is None else f"{size.trips_per_object:.4f}",
    "average burst": lambda size: "" if size.average_burst is None else significant(size.average_burst),
    "get miss rate": lambda size: _rate(size.gets.miss_rate) if size.knows_trips else "",
    "put miss rate": lambda size: _rate(size.puts.miss_rate) if size.knows_trips else "",
    "in the smallest": lambda size: "" if size.tight is None else f"{size.tight:.4f}",
    "2 MB pages": _places("pages_2m", "{:.1f}"),
    "4 KB pages": _places("pages_4k", "{:.0f}"),
    "lines": _places("lines", "{:.0f}"),
}
_SPARE = ("lines", "2 MB pages", "in the smallest", "put miss rate", "get miss rate", "keeps")

_LEGEND = (
    "≥: the smallest pool with which no get fails, counted with the actors in turn, a call each; threads that run at "
    "the same time can need a few bulks more. stranded: objects of it that lie in caches where the actor that gets "
    "cannot reach them; empty where the backend makes no smaller pool. trips/object: how often gets and puts go to "
    "what all threads share, per object got, in a pool with room to spare; in the smallest: in that one. miss rate: "
    "trips per object got or put. average burst: objects that a trip moves. Pages and lines: distinct ones in 1,000 "
    "objects that an actor gets. knee: the smallest cache with at most one trip per 100 objects more than the best."
)


def legend(width: int) -> str:
    """What the columns mean."""
    return "\n".join(wrapped(_LEGEND, width))


def size_table(case: SizedCase, width: int) -> str:
    """A table and a sentence for each backend."""
    return "\n".join(_lines(case, width))


def _lines(case: SizedCase, width: int) -> Iterator[str]:
    yield from wrapped(plain(case.title), width)
    for backend in case.backends:
        yield ""
        yield f"{plain(backend.label)}"
        if backend.sizes:
            yield _table(backend, width)
        if backend.reason:
            yield from wrapped(f"{backend.status}: {plain(backend.reason)}", width)
        if said := advice(backend):
            yield from wrapped(f"{plain(backend.label)}: {said}", width)


def _table(backend: SizedBackend, width: int) -> str:
    chosen = knee(backend.sizes)
    pools = next((size.pools for size in backend.sizes if size.pools), ())
    needs = [f"{plain(pool.name)} ≥" for pool in pools]
    headers = ["cache", "keeps", *needs, "stranded", *_COLUMNS, "knee"]
    rows = [
        [
            "" if backend.sizes[0].pools and backend.sizes[0].pools[0].smallest is None else f"{size.cache:,}",
            ", ".join(dict.fromkeys(plain(pool.keeps) for pool in size.pools)),
            *(["" if pool.smallest is None else f"{pool.smallest:,}" for pool in size.pools] or [""] * len(needs)),
            _stranded(size),
            *(text(size) for text in _COLUMNS.values()),
            "knee" if size is chosen else "",
        ]
        for size in backend.sizes
    ]
    instead = {row: f"refused: {plain(size.refused)}" for row, size in enumerate(backend.sizes) if size.refused}
    return layout(headers, rows, {*headers} - {"knee"}, width, _SPARE, instead)


def _stranded(size: Sized) -> str:
    known = [pool.stranded for pool in size.pools if pool.stranded is not None]
    return f"{sum(known):,}" if known else ""


def document(cases: list[SizedCase]) -> list[dict[str, Any]]:
    """All that was counted, with what follows from it."""
    return [
        {
            "case": case.title,
            "backends": [
                {
                    **asdict(backend),
                    "sizes": [_size(size) for size in backend.sizes],
                    "knee": chosen.cache if (chosen := knee(backend.sizes)) else None,
                    "advice": advice(backend),
                }
                for backend in case.backends
            ],
        }
        for case in cases
    ]


def _size(size: Sized) -> dict[str, Any]:
    return asdict(size) | {"trips_per_object": size.trips_per_object, "average_burst": size.average_burst}
