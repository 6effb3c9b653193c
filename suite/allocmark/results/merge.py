# SPDX-License-Identifier: BSD-3-Clause
"""The rounds of a case, put together: one cell of all its processes, one list of all blocks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from allocmark.passes import registry
from allocmark.results.records import MeasuredCase, MeasuredCell
from allocmark.stats import Conditions, median, same_pace, usual_conditions

FAILED_SHARE = 0.25  #: of its processes: when more fail, the cell fails


def merged(rounds: Sequence[MeasuredCase]) -> MeasuredCase:
    """The case over its ``rounds``, at least one, in their order. Blocks are numbered through all rounds."""
    if len(rounds) == 1:
        return rounds[0]
    starts = [0, *accumulate(len(each.blocks) for each in rounds)]
    labels = dict.fromkeys(cell.label for each in rounds for cell in each.cells)
    blocks = [block for each in rounds for block in each.blocks]
    alike = _alike(rounds, usual_conditions(blocks))
    cells = []
    for label in labels:
        found = [
            (each.round, start, cell)
            for each, start in zip(rounds, starts, strict=False)
            for cell in each.cells
            if cell.label == label
        ]
        cells.append(_cell(found, alike))
    return replace(
        rounds[-1],
        cells=tuple(cells),
        blocks=tuple(blocks),
        seconds=sum(each.seconds for each in rounds),
        measured_seconds=sum(each.measured_seconds for each in rounds),
    )


def has_failed(failed: int, processes: int) -> bool:
    """Whether a cell fails of which so many ``processes`` failed."""
    return failed > FAILED_SHARE * processes


def _alike(rounds: Sequence[MeasuredCase], usual: Conditions) -> dict[str, set[int]]:
    """Of each timed pass, the rounds in which it was made under the ``usual`` conditions of the case."""
    usable = usual.rounds or {each.round for each in rounds}
    return {
        each.name: {
            made.round
            for made in rounds
            if made.round in usable and same_pace(made.pass_paces.get(each.name), usual.pace_ns)
        }
        for each in registry.PASSES
        if each.timed
    }


def _cell(found: Sequence[tuple[int, int, MeasuredCell]], alike: Mapping[str, Collection[int]]) -> MeasuredCell:
    """The cell over its rounds: of each its number, the number of its first block, and the cell. ``alike``: rounds of
    each timed pass, as of `_alike`."""
    good = [each for each in found if each[2].status == "ok"]
    bad = [cell for *_, cell in found if cell.status == "failed"]
    if not good or has_failed(len(bad), len(found)):
        last = (bad or [cell for *_, cell in found])[-1]
        reason = last.reason
        if last.status == "failed" and len(bad) < len(found):
            reason = f"{len(bad)} of {len(found)} processes failed, the last one: {reason}"
        return replace(last, reason=reason, samples=[], blocks=[], disturbed={}, passes={})
    cells = [cell for *_, cell in good]
    if changed := _other_library(cells):
        return replace(cells[-1], status="failed", reason=changed, samples=[], blocks=[], disturbed={}, passes={})
    offsets = [0, *accumulate(len(cell.samples) for cell in cells)]
    return replace(
        cells[0],
        objects=cells[-1].objects,
        samples=[sample for cell in cells for sample in cell.samples],
        blocks=[start + block for _, start, cell in good for block in cell.blocks],
        disturbed={
            offset + index: what
            for offset, cell in zip(offsets, cells, strict=False)
            for index, what in cell.disturbed.items()
        },
        attestation=_attestation(cells, bad),
        setup_seconds=median(cell.setup_seconds for cell in cells),
        layouts=[layout for *_, cell in found for layout in cell.layouts],
        passes=_passes({number: cell for number, _, cell in good}, alike),
    )


def _other_library(cells: Sequence[MeasuredCell]) -> str | None:
    """None when all processes measured one library, else a line: its file was replaced in the meantime."""
    first, *others = (cell.attestation.get("library") or {} for cell in cells)
    for other in others:
        if isinstance(first, Mapping) and isinstance(other, Mapping):
            changed = [key for key in ("file", "build_id", "digest") if first.get(key) != other.get(key)]
            if changed:
                return (
                    f"its library is another one than at first: {changed[0].replace('_', ' ')} "
                    f"{first.get(changed[0])}, then {other.get(changed[0])}: measure anew"
                )
    return None


def _attestation(cells: Sequence[MeasuredCell], bad: Sequence[MeasuredCell]) -> Mapping[str, Any]:
    """That of the first process, with what is counted in all of them, and every note."""
    found = dict(cells[0].attestation)
    notes: dict[str, str] = {}
    for cell in cells:
        given = cell.attestation.get("notes")
        notes = {**(given if isinstance(given, Mapping) else {}), **notes}
    # All of them: a backend may be built anew between two rounds.
    if builds := [own for cell in cells if isinstance(own := cell.attestation.get("builds"), dict)]:
        found["builds"] = {build: file for own in builds for build, file in own.items()}
    if bad:
        failed = f"{len(bad)} of {len(cells) + len(bad)} processes failed, the last one: {bad[-1].reason}"
        notes[""] = "; ".join(filter(None, [failed, notes.get("")]))
    gets = [cell.attestation.get("failed_gets") for cell in cells]
    if all(isinstance(n, int) for n in gets):
        found["failed_gets"] = sum(gets)
    cpus = [own for cell in cells if isinstance(own := cell.attestation.get("cpus"), list)]
    if cpus:
        found["cpus"] = sorted({cpu for own in cpus for cpu in own})
    return found | {"notes": notes} if notes else found


def _passes(cells: Mapping[int, MeasuredCell], alike: Mapping[str, Collection[int]]) -> dict[str, Any]:
    """What each pass found, in the rounds in which it was made; what was timed, in those that are ``alike``."""
    found = {}
    for each in registry.PASSES:
        records = {
            number: cell.passes[each.name]
            for number, cell in cells.items()
            if each.name in cell.passes and (not each.timed or number in alike[each.name])
        }
        if records:
            found[each.name] = each.combine(records)
    return found
