# SPDX-License-Identifier: BSD-3-Clause
"""Sizes as text, and as a document for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from allocmark.output.text.figures import layout, wrapped
from allocmark.sizing.advice import advice, knee
from allocmark.sizing.size_rows import LEGEND, CaseRows, SizeRows
from allocmark.sizing.sized import Sized, SizedCase

_SPARE = ("lines", "2 MB pages", "in the smallest", "put miss rate", "get miss rate", "keeps")


def legend(width: int) -> str:
    """What the columns mean."""
    return "\n".join(wrapped(LEGEND, width))


def size_table(case: CaseRows, width: int) -> str:
    """A table and a sentence for each backend."""
    return "\n".join(_lines(case, width))


def _lines(case: CaseRows, width: int) -> Iterator[str]:
    yield from wrapped(case.title, width)
    for backend in case.backends:
        yield ""
        yield backend.label
        if backend.rows:
            yield _table(backend, width)
        if backend.problem:
            yield from wrapped(backend.problem, width)
        if backend.advice:
            yield from wrapped(f"{backend.label}: {backend.advice}", width)


def _table(backend: SizeRows, width: int) -> str:
    rows = [[entry.text for entry in row] for row in backend.rows]
    return layout(backend.headers, rows, {*backend.headers} - {"knee"}, width, _SPARE, backend.refused)


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
