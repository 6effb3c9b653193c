# SPDX-License-Identifier: BSD-3-Clause
"""A chart: what is drawn, in which unit, which way is better, and in words for who cannot see it.

A chart is data; ``static/site.js`` draws it. Its numbers stand in a table of the same page, made from the same cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from allocmark.output.html.page_tables import Column, Datum, Table
from allocmark.output.html.view import CaseView, View, WorkloadView
from allocmark.output.text.figures import counted, value
from allocmark.stats import Estimate

COST = "ns/object"
LESS = "less is better"

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

    Each has a colour of its own while those last, else one a backend, and a symbol of its own within its colour. What
    repeats all the same is told apart by its label.
    """
    rivals = [(label, backend) for backend in view.backends if not backend.floor for label in backend.labels]
    own = len(rivals) <= _COLOURS
    names = [label if own else backend.name for label, backend in rivals]
    ranks = {name: rank for rank, name in enumerate(dict.fromkeys(names))}
    found = [
        {"label": label, "name": view.name(label), "colour": "floor", "symbol": 0}
        for backend in view.backends
        if backend.floor
        for label in backend.labels
    ]
    for (label, backend), name in zip(rivals, names, strict=True):
        symbol = ranks[name] if own else backend.labels.index(label)
        colour = f"s{ranks[name] % _COLOURS + 1}"
        found.append({"label": label, "name": view.name(label), "colour": colour, "symbol": symbol % _SYMBOLS})
    return found


def varying(workload: WorkloadView) -> list[Column]:
    """The columns of the parameters that vary."""
    numbers = {k: all(isinstance(v, int | float) for v in values) for k, values in workload.varying.items()}
    return [Column(key, right) for key, right in numbers.items()]


def values_of(workload: WorkloadView, case: CaseView) -> list[Datum]:
    """The entries of a case in the columns of `varying`."""
    parameters = case.summary.planned.parameters
    return [_value(parameters[key]) if key in parameters else Datum() for key in workload.varying]


def _value(found: Any) -> Datum:
    return Datum(value(found), found if isinstance(found, int | float) else None)


def extremes(found: Sequence[tuple[str, Estimate | None]], unit: str = "") -> str:
    """How many rows there are, and the lowest and highest of them by name: a chart in words."""
    known = [(name, estimate.value) for name, estimate in found if estimate]
    if not known:
        return "Nothing to show."
    (least, low), (most, high) = (pick(known, key=lambda pair: pair[1]) for pick in (min, max))
    low_said, high_said = (f"{n:.3g} {unit}".rstrip() for n in (low, high))
    return f"{counted(len(known), 'row')}, from {low_said} ({least}) to {high_said} ({most})."
