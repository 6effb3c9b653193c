# SPDX-License-Identifier: BSD-3-Clause
"""A chart: what is drawn, in which unit, which way is better, and in words for who cannot see it.

A chart is data; the function in ``static/site.js`` that its ``kind`` names draws it. Its numbers stand in a table of
the same page, made from the same cells.

Where to add a chart: a function here that returns a `Chart`, a call of it in the module of its page (`pages`), and
``{{ chart(...) }}`` in that page's template. A new kind of drawing is a function in ``KINDS`` of site.js.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from allocmark.output.html.page_tables import Column, Datum, Table
from allocmark.output.html.run_view import CaseView, View, WorkloadView
from allocmark.output.text.figures import counted, value
from allocmark.stats import Estimate

LESS = "less is better"

Link = Callable[[str, str], str]  # kind and name of a page to its address

_COLOURS, _SYMBOLS = 6, 7  # that ``site.css`` and ``site.js`` have


@dataclass(frozen=True)
class Chart:
    """One figure. ``kind`` names the drawing function, ``data`` is what it gets; ``alt`` describes it in words."""

    kind: str
    title: str
    unit: str
    better: str
    alt: str
    data: Mapping[str, Any]
    table: Table | None = None
    note: str = ""
    tall: bool = False  #: the numbers stand open below it and not folded
    more: tuple[str, str] | None = None  #: an address where there is more, and its name
    steps: Table | None = None  #: the changes that it marks, above its numbers


def short(number: float | None) -> float | None:
    """Five significant digits: more than is ever resolved, in few bytes."""
    return None if number is None else float(f"{number:.5g}")


def ends(estimate: Estimate | None) -> list[float | None] | None:
    """``[value, low, high]`` for a script, the ends None where they are no interval but the range seen."""
    if estimate is None:
        return None
    low, high = (estimate.low, estimate.high) if estimate.covered else (None, None)
    return [short(estimate.value), short(low), short(high)]


def series(view: View) -> list[dict[str, Any]]:
    """Name, colour and symbol of each backend variant.

    Each variant has a colour of its own while there are enough; else each backend has one, and its variants differ by
    their symbols. Where those repeat too, the labels tell.
    """
    rivals = [(label, backend.name) for backend in view.backends if not backend.floor for label in backend.labels]
    floors = [label for backend in view.backends if backend.floor for label in backend.labels]
    found = [{"label": label, "colour": "floor", "symbol": 0} for label in floors] + marked(rivals)
    return [{**each, "name": view.name(each["label"])} for each in found]


def marked(variants: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Colour and symbol of each variant, given as its label and the name of its backend; as `series` has them."""
    own = len(variants) <= _COLOURS
    groups = [label if own else backend for label, backend in variants]
    ranks = {group: rank for rank, group in enumerate(dict.fromkeys(groups))}
    seen: Counter[str] = Counter()
    found = []
    for (label, _), group in zip(variants, groups, strict=True):
        symbol = ranks[group] if own else seen[group]
        seen[group] += 1
        colour = f"s{ranks[group] % _COLOURS + 1}"
        found.append({"label": label, "colour": colour, "symbol": symbol % _SYMBOLS})
    return found


def parameter_columns(workload: WorkloadView) -> list[Column]:
    """A column for each parameter that varies, for rows that begin with a case."""

    def parameters(case: CaseView, *_: object) -> Mapping[str, Any]:
        return case.summary.planned.parameters

    return [parameter_column(key, values, parameters) for key, values in workload.varying.items()]


def parameter_column(key: str, values: Sequence[Any], parameters: Callable[..., Mapping[str, Any]]) -> Column:
    """The values of one parameter; ``parameters`` are those of a row."""

    def entry(*row: object) -> Datum:
        found = parameters(*row)
        if key not in found:
            return Datum()
        return Datum(value(found[key]), found[key] if isinstance(found[key], int | float) else None)

    return Column(key, entry, all(isinstance(v, int | float) for v in values))


def extremes(found: Iterable[tuple[str, Estimate | None]], unit: str = "") -> str:
    """How many rows there are, and the lowest and highest of them by name: a chart in words."""
    known = [(name, estimate.value) for name, estimate in found if estimate]
    if not known:
        return "Nothing to show."
    (least, low), (most, high) = (pick(known, key=lambda pair: pair[1]) for pick in (min, max))
    low_said, high_said = (f"{n:.3g} {unit}".rstrip() for n in (low, high))
    return f"{counted(len(known), 'row')}, from {low_said} ({least}) to {high_said} ({most})."
