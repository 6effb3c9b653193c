# SPDX-License-Identifier: BSD-3-Clause
"""Sizes as a page: for each case a plot of each pool, and for each backend the advice and the rows of its table."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allocmark.output.html import write_size_report
from allocmark.output.html.charts import LESS, Chart, marked, short
from allocmark.output.html.page_tables import Column, Datum, Table
from allocmark.output.text.figures import counted, plain
from allocmark.sizing.size_rows import LEGEND, CaseRows, SizeEntry, SizeRows


@dataclass(frozen=True)
class SizeSection:
    """A case of the page. ``chart`` is None where no backend tells of trips, ``silent`` says which do not."""

    title: str
    chart: Chart | None
    silent: str
    backends: Sequence[tuple[SizeRows, Table | None]]


def write_size_page(cases: Sequence[CaseRows], argv: Sequence[str], path: Path) -> None:
    """Write one self-contained HTML file; ``argv`` is the command. AssetError and OSError as `write_size_report`."""
    write_size_report(_page(cases, argv), path)


def _page(cases: Sequence[CaseRows], argv: Sequence[str]) -> dict[str, Any]:
    labels = list(dict.fromkeys(backend.label for case in cases for backend in case.backends))
    return {
        "headline": "How big must a pool be, and its caches?",
        "facts": [
            ("Counted", f"{counted(len(labels), 'backend')}, {counted(len(cases), 'case')}"),
            ("Command", shlex.join(["allocmark", *map(plain, argv)])),
        ],
        "legend": LEGEND,
        "series": [
            {**each, "name": each["label"]} for each in marked([(label, label.partition(":")[0]) for label in labels])
        ],
        "cases": [_section(case) for case in cases],
    }


def _section(case: CaseRows) -> SizeSection:
    silent = [b.label for b in case.backends if any(not (size.refused or size.knows_trips) for size in b.sizes)]
    return SizeSection(
        case.title,
        _chart(case),
        f"Not drawn, because the backend does not say: {', '.join(silent)}." if silent else "",
        [(backend, _table(case, backend) if backend.rows else None) for backend in case.backends],
    )


def _table(case: CaseRows, backend: SizeRows) -> Table:
    def column(place: int, title: str) -> Column:
        def entry(row: Sequence[SizeEntry], refused: str) -> Datum:
            text, value = row[place]
            return Datum(text, value, note="" if place else refused)

        return Column(title.replace(" ≥", "\N{NO-BREAK SPACE}≥"), entry, right=title != "knee")

    return Table.of(
        f"{backend.label}, a row for each size of the caches",
        [column(*each) for each in enumerate(backend.headers)],
        [(row, backend.refused.get(place, "")) for place, row in enumerate(backend.rows)],
    )


def _chart(case: CaseRows) -> Chart | None:
    rows = [row for backend in case.backends for row in _points(backend)]
    if not rows:
        return None
    return Chart(
        "trips",
        "Trips to what threads share",
        "per object (cache miss rate), over the size of the cache",
        LESS,
        " ".join(_said(backend) for backend in case.backends if any(_points(backend))),
        {"rows": rows, "x": "cache", "values": sorted({row["x"] for row in rows}), "unit": "trips per object"},
        None,
        "Trips of gets and puts for each object that was got, a plot for each pool. In a ring: the knee, of all pools "
        "together. The numbers are in the tables below.",
    )


def _points(backend: SizeRows) -> Iterator[dict[str, Any]]:
    for size in backend.sizes:
        for pool in size.pools:
            trips = size.trips_in(pool)
            if trips is not None:
                yield {
                    "panel": plain(pool.name),
                    "label": backend.label,
                    "x": size.cache,
                    "y": short(trips),
                    "knee": size is backend.knee,
                }


def _said(backend: SizeRows) -> str:
    """The line of a backend, in words."""
    told = [(size.cache, size.trips_per_object) for size in backend.sizes if size.trips_per_object is not None]
    knee = f", knee at {backend.knee.cache:,}" if backend.knee else ""
    return f"{backend.label}: {', '.join(f'{trips:.4f} with cache {cache:,}' for cache, trips in told)}{knee}."
