# SPDX-License-Identifier: BSD-3-Clause
"""Prints a validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from allocmark.output.text.figures import layout, plain, shorten, wrapped
from allocmark.validate.proof import Figure, Holds, Proof

WIDTH = 80
_WHAT, _TEXT = 22, 21  #: widths of these columns, so that a row stays within it
_NOTHING = Figure("could not be done", None, "", "", Holds.CANNOT_TELL)
_HEADERS = ("proof", "what", "figure", "limit", "holds")


def render_validation(proofs: Sequence[Proof]) -> str:
    """A row for each figure, the notes, and what it comes to."""
    return "\n".join(_lines(proofs)) + "\n"


def _lines(proofs: Sequence[Proof]) -> Iterator[str]:
    rows = [
        [
            "" if index else proof.name,
            shorten(plain(figure.what), _WHAT),
            shorten(plain(figure.text), _TEXT),
            figure.limit,
            figure.holds or "",
        ]
        for proof in proofs
        for index, figure in enumerate(proof.figures or [_NOTHING])
    ]
    yield layout(_HEADERS, rows, (), WIDTH)
    yield ""
    for proof in proofs:
        for note in proof.notes:
            yield from wrapped(f"{proof.name}: {plain(note)}", WIDTH)
    beyond = [proof.name for proof in proofs if proof.holds is Holds.NO]
    if beyond:
        yield from wrapped(f"Beyond a limit: {', '.join(beyond)}.", WIDTH)
    elif all(proof.holds is Holds.YES for proof in proofs):
        yield "Every figure keeps its limit."
    else:
        yield from wrapped("No figure is beyond its limit; where it cannot tell, a longer form may.", WIDTH)
