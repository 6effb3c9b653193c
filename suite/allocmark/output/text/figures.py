# SPDX-License-Identifier: BSD-3-Clause
"""How figures, names and parameters are written, in text, pages and exports alike, and how a table is laid out."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import repeat
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from allocmark.errors import printable

if TYPE_CHECKING:
    from allocmark.results.store import Run
    from allocmark.stats import Estimate

Names = dict[str, str]  # how a cell's label is shown

_MOST_DECIMALS = 4  # of nanoseconds per object and of ratios: nothing smaller is ever resolved

_SHORTEST = 24  # a text is not cut below this, however narrow the terminal
GAP = 2  #: blanks that `tabulate` puts between columns


def decimals(value: float) -> int:
    """Decimals that show three significant digits of ``value``."""
    exponent = int(f"{value:.2e}".partition("e")[2])  # of the rounded value: 0.9996 is 1.00
    return min(max(2 - exponent, 0), _MOST_DECIMALS) if value else _MOST_DECIMALS


def significant(value: float) -> str:
    """``value`` with three significant digits."""
    return f"{value:.{decimals(value)}f}"


def figure(estimate: Estimate | None) -> str:
    """The value, or nothing."""
    return "" if estimate is None else significant(estimate.value)


def interval(estimate: Estimate | None) -> str:
    """``[low, high]`` to the decimals of the value, or ``(low, high)``: the range seen, not an interval."""
    if estimate is None or estimate.n < 2:
        return ""
    places = decimals(estimate.value)
    ends = f"{estimate.low:.{places}f}, {estimate.high:.{places}f}"
    return f"[{ends}]" if estimate.covered else f"({ends})"


def plain(text: str) -> str:
    """``text`` on one line, with single blanks, and `printable`."""
    return " ".join(printable(text).split())


def shorten(text: str, width: int) -> str:
    """The first ``width`` characters at most, cut at a word where there is one."""
    if len(text) <= width:
        return text
    cut = text[: max(width - 3, 1)]
    head, space, _ = cut.rpartition(" ")
    return (head if space and len(head) > width // 2 else cut).rstrip(" ,.:;") + "..."


def value(parameter: Any) -> str:
    """A parameter's value."""
    return plain(parameter if isinstance(parameter, str) else json.dumps(parameter))


def assignments(parameters: Mapping[str, Any], names: Collection[str] | None = None) -> str:
    """``key=value`` of the parameters, or of those named."""
    return " ".join(f"{k}={value(v)}" for k, v in parameters.items() if names is None or k in names)


def varied(parameters: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """Names of the parameters that are not the same in all cases, and of the others."""
    keys = list(dict.fromkeys(key for p in parameters for key in p))
    varying = [k for k in keys if any(k not in p or p[k] != parameters[0].get(k) for p in parameters)]
    return varying, [k for k in keys if k not in varying]


def numeric(parameters: Sequence[Mapping[str, Any]], names: Sequence[str]) -> set[str]:
    """Those of ``names`` whose values are all numbers, and so stand to the right."""
    return {k for k in names if all(isinstance(p.get(k, 0), int | float) for p in parameters)}


def said_once(parameters: Mapping[str, Any], names: Sequence[str]) -> Iterator[list[str]]:
    """The values for a case's first row, and blanks for all rows after it, without end."""
    yield [value(parameters[key]) if key in parameters else "" for key in names]
    yield from repeat([""] * len(names))


def names_of(run: Run) -> Names:
    """How each cell's label is shown: without the variant where that is the only one, and called default."""
    variants: dict[str, set[str]] = {}
    planned = [cell for case in run.header.plan for cell in case.cells]
    for cell in planned:
        variants.setdefault(cell.backend, set()).add(cell.variant)
    return {cell.label: cell.backend if variants[cell.backend] == {"default"} else cell.label for cell in planned}


def layout(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Collection[str],
    width: int,
    spare: Sequence[str] = (),
    instead: Mapping[int, str] = MappingProxyType({}),
) -> str:
    """A table of texts, with the columns of ``right`` to the right and empty columns left out.

    Where it is wider than ``width``, columns of ``spare`` are left out in their order, and that is said.
    ``instead`` maps rows to a text that stands behind their last cell, over the columns that are empty there.
    """
    columns = [[*map(printable, column)] for column in zip(headers, *rows, strict=True)]
    shown = {column[0]: max(map(len, column)) for column in columns if any(column[1:])}
    left_out = []
    for name in spare:
        if sum(shown.values()) + GAP * (len(shown) - 1) <= width:
            break
        if shown.pop(name, None):
            left_out.append(name)
    widths = list(shown.values())
    names, *texts = zip(*(column for column in columns if column[0] in shown), strict=True)
    # As rows, for `tabulate` would pad real headers.
    lines = tabulate(
        [names, ["-" * w for w in widths], *texts],
        tablefmt="plain",
        disable_numparse=True,
        colalign=["right" if name in right else "left" for name in names],
    ).splitlines()
    for row, text in instead.items():
        taken = max((i + 1 for i, cell in enumerate(texts[row]) if cell), default=0)
        start = sum(widths[:taken]) + GAP * taken
        lines[row + 2] = lines[row + 2][:start].ljust(start) + shorten(printable(text), max(width - start, _SHORTEST))
    if left_out:
        lines += wrapped(f"Not shown, to stay within {width} columns: {', '.join(left_out)}.", width)
    return "\n".join(line.rstrip() for line in lines)


def counted(n: int, what: str) -> str:
    """``1 block``, ``2 blocks``."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def wrapped(text: str, width: int) -> list[str]:
    """The lines of a paragraph, those after the first indented; a number stays with its "%"."""
    joined = printable(text).replace(" %", "\0%")
    lines = textwrap.wrap(joined, max(width, 40), subsequent_indent="    ", break_on_hyphens=False)
    return [line.replace("\0", " ") for line in lines]
