# SPDX-License-Identifier: BSD-3-Clause
"""Is HEAD slower than BASE? Both are measured in turns until every cell has a verdict, or the budget is spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from allocmark.discovery import discover
from allocmark.errors import AllocmarkError
from allocmark.gate.journal import Journal
from allocmark.gate.pairs import MissingPair, Pair, make_pairs
from allocmark.gate.revisions.git import git, resolve, top_folder
from allocmark.gate.revisions.side import Side, prepare
from allocmark.gate.rounds import GateRequest, Tally, measure_rounds
from allocmark.measuring.schedule import Progress
from allocmark.stats import Estimate, Verdict, gate_verdict
from allocmark.system import machine

PASSED, SLOWER, NOT_MEASURED, CANNOT_TELL = 0, 1, 2, 3  # exit statuses


@dataclass(frozen=True)
class GateRow:
    """A cell. ``verdict`` is None when it could not be measured: ``tally.failure`` says why."""

    tally: Tally
    ratio: Estimate | None
    verdict: Verdict | None


@dataclass(frozen=True)
class Gate:
    """The result. ``rows``: the worst first; ``same``: labels of backends whose files are equal on both sides."""

    base: Side
    head: Side
    limit: float
    rows: tuple[GateRow, ...]
    same: tuple[str, ...]
    missing: tuple[MissingPair, ...]
    uncommitted: bool  #: the working tree has changes, which were not measured
    variables: Mapping[str, str]  #: that were set and change malloc
    journal: Path | None

    @property
    def status(self) -> int:
        """The exit status: SLOWER goes before NOT_MEASURED, and that before CANNOT_TELL."""
        verdicts = {row.verdict for row in self.rows}
        if Verdict.SLOWER in verdicts:
            return SLOWER
        if None in verdicts or any(missing.failure for missing in self.missing) or not (verdicts or self.same):
            return NOT_MEASURED
        return CANNOT_TELL if Verdict.CANNOT_TELL in verdicts else PASSED


def gate(asked: GateRequest, base: str, head: str) -> Gate:
    """Measure revision ``head`` against ``base`` and judge every cell.

    The rounds are kept in the repository's ``.allocmark/``: after a kill, the same call continues there. Raises
    AllocmarkError when there is no such revision, backend or workload, or nothing can be built.
    """
    state = state_folder(asked.repository)
    done = measure_gate(asked, base, head, state / "gates")
    return replace(done, journal=done.journal and put_away(done.journal, state, "gate"))


def measure_gate(asked: GateRequest, base: str, head: str, folder: Path) -> Gate:
    """As `gate`, but the journal stays in ``folder``: the same call measures nothing again."""
    for revision in (base, head):
        resolve(asked.repository, revision)  # before anything is built
    sides = prepare_side(asked, base), prepare_side(asked, head)
    pairs = make_pairs(*sides, asked.cells, discover().workload_dirs, unchanged=asked.unchanged)
    tallies: Sequence[Tally] = ()
    path = None
    if pairs.cells:
        with open_journal(asked, folder, sides, pairs.cells) as journal:
            path = journal.path
            tallies = measure_rounds(pairs.cells, asked, journal, lambda ratio: is_certain(ratio, asked.limit))
    rows = [row_of(tally, asked.limit) for tally in tallies]
    rows.sort(key=lambda row: -row.ratio.value if row.ratio else float("-inf"))
    uncommitted = bool(git(asked.repository, "status", "--porcelain", "--untracked-files=no"))
    return Gate(
        *sides, asked.limit, tuple(rows), pairs.same, pairs.missing, uncommitted, machine.malloc_variables(), path
    )


def state_folder(repository: Path) -> Path:
    """``.allocmark/`` of the repository, which git ignores."""
    folder = top_folder(repository) / ".allocmark"
    try:
        folder.mkdir(exist_ok=True)
        (folder / ".gitignore").write_text("*\n")
    except OSError as error:
        raise AllocmarkError(f"{folder}: builds and samples cannot be kept there: {error.strerror}") from error
    return folder


def put_away(done: Path, state: Path, what: str) -> Path:
    """Move a finished journal, or a folder of them, to ``finished/``, so that the same command starts again."""
    kept = state / "finished" / f"{what}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{done.name}"
    kept.parent.mkdir(exist_ok=True)
    return done.rename(kept)


def open_journal(asked: GateRequest, folder: Path, sides: Sequence[Side], pairs: Sequence[Pair]) -> Journal:
    """The journal of these pairs: the same one again as long as what is measured, and where, is the same."""
    header: Mapping[str, Any] = {
        "format": 4,  # 1 had another rule for when to stop, 2 no checksums, 3 did not know how fast CPUs were
        "commits": [side.commit for side in sides],
        "files": [dict(side.files) for side in sides],
        "pairs": [pair.key for pair in pairs],
        "request": asked.cells.to_json(),
        "limit": asked.limit,
        "machine": machine.facts()["machine"],
        "variables": machine.malloc_variables(),
    }
    return Journal(folder, "-".join(side.commit[:10] for side in sides), header)


def is_certain(ratio: Estimate | None, limit: float) -> bool:
    """Whether a cell with this ratio needs no more rounds."""
    return gate_verdict(ratio, limit) != Verdict.CANNOT_TELL


def row_of(tally: Tally, limit: float) -> GateRow:
    """The cell with its verdict."""
    ratio = tally.ratio()
    return GateRow(tally, ratio, None if tally.failure else gate_verdict(ratio, limit))


def prepare_side(asked: GateRequest, revision: str) -> Side:
    """`prepare`, reported as progress."""
    asked.report(Progress(0.0, f"building {revision[:40]}", ""))
    return prepare(asked.repository, revision, state_folder(asked.repository))
