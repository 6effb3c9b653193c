# SPDX-License-Identifier: BSD-3-Clause
"""Is HEAD slower than BASE? Both are measured in turns until that is certain, or the budget is spent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from allocmark import plugins
from allocmark.errors import UsageError
from allocmark.gate.contest import Tally, contest
from allocmark.gate.journal import Journal
from allocmark.gate.pairs import MissingPair, Pair, make_pairs
from allocmark.gate.revision import git, resolve
from allocmark.gate.side import Side, prepare
from allocmark.measuring.request import Request
from allocmark.measuring.schedule import Progress
from allocmark.stats import Estimate, Verdict, gate_verdict
from allocmark.system import machine

LIMIT = 0.02  #: a slowdown of this much must not pass
MINUTES = 10.0  #: the budget

PASSED, SLOWER, NOT_MEASURED, CANNOT_TELL = 0, 1, 2, 3  # exit statuses


@dataclass(frozen=True)
class GateRow:
    """A cell that was measured, or could not be (``tally.failure``)."""

    tally: Tally
    ratio: Estimate | None
    verdict: Verdict | None


@dataclass(frozen=True)
class Gate:
    """What came out. ``same``: labels whose files are equal; ``rows``: the worst first."""

    base: Side
    head: Side
    limit: float
    rows: tuple[GateRow, ...]
    same: tuple[str, ...]
    missing: tuple[MissingPair, ...]
    uncommitted: bool  #: the working tree has changes, which are in neither
    journal: Path | None

    @property
    def status(self) -> int:
        """The exit status: a slowdown outweighs a failure, a failure outweighs a doubt."""
        verdicts = {row.verdict for row in self.rows}
        if Verdict.SLOWER in verdicts:
            return SLOWER
        if None in verdicts or any(missing.failure for missing in self.missing) or not (verdicts or self.same):
            return NOT_MEASURED
        return CANNOT_TELL if Verdict.CANNOT_TELL in verdicts else PASSED


def gate(
    repository: Path,
    base: str,
    head: str,
    request: Request,
    report: Callable[[Progress], None],
    *,
    limit: float = LIMIT,
    minutes: float = MINUTES,
    unchanged: bool = False,
) -> Gate:
    """Measures revision ``head`` against ``base`` and judges every cell.

    What was measured is kept in the repository's ``.allocmark/``: a gate that was killed goes on there when it is asked
    for again. Raises AllocmarkError for what makes no sense: no such revision, backend or workload.
    """
    state = state_folder(repository)
    done = measure_gate(
        repository, base, head, request, report, state / "gates", limit=limit, minutes=minutes, unchanged=unchanged
    )
    if done.journal is None:
        return done
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    kept = state / "finished" / f"gate-{stamp}-{done.journal.name}"
    kept.parent.mkdir(exist_ok=True)
    done.journal.rename(kept)
    return replace(done, journal=kept)


def measure_gate(
    repository: Path,
    base: str,
    head: str,
    request: Request,
    report: Callable[[Progress], None],
    folder: Path,
    *,
    limit: float,
    minutes: float,
    unchanged: bool = False,
) -> Gate:
    """As `gate`, with the journal in ``folder``, where it stays: asked for again, nothing is measured again."""
    state = state_folder(repository)
    for revision in (base, head):
        resolve(repository, revision)  # before anything is built
    sides = tuple(prepare_side(repository, revision, state, report) for revision in (base, head))
    pairs = make_pairs(sides[0], sides[1], request, plugins.load().workload_dirs, unchanged=unchanged)
    tallies: Sequence[Tally] = ()
    path = None
    if pairs.cells:
        name = f"{sides[0].commit[:10]}-{sides[1].commit[:10]}"
        with Journal(folder, name, header_of(sides, pairs.cells, request, limit)) as journal:
            path = journal.path
            tallies = contest(
                pairs.cells, request, journal, lambda ratio: is_certain(ratio, limit), 60 * minutes, report
            )
    rows = [row_of(tally, limit) for tally in tallies]
    rows.sort(key=lambda row: -row.ratio.value if row.ratio else float("-inf"))
    uncommitted = bool(git(repository, "status", "--porcelain", "--untracked-files=no"))
    return Gate(sides[0], sides[1], limit, tuple(rows), pairs.same, pairs.missing, uncommitted, path)


def state_folder(repository: Path) -> Path:
    """``.allocmark/`` of the repository, which git does not see."""
    folder = Path(git(repository, "rev-parse", "--show-toplevel").removesuffix("\n"), ".allocmark")
    folder.mkdir(exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    return folder


def header_of(sides: Sequence[Side], pairs: Sequence[Pair], request: Request, limit: float) -> Mapping[str, Any]:
    """What must be equal for one measurement to go on where another stopped."""
    return {
        "format": 1,
        "commits": [side.commit for side in sides],
        "files": [dict(side.files) for side in sides],
        "pairs": [pair.key for pair in pairs],
        "request": request.to_json(),
        "limit": limit,
        "machine": machine.facts()["machine"],
    }


def is_certain(ratio: Estimate | None, limit: float) -> bool:
    """Whether a gate needs to know more of a cell."""
    return gate_verdict(ratio, limit) != Verdict.CANNOT_TELL


def row_of(tally: Tally, limit: float) -> GateRow:
    """The cell, judged."""
    ratio = tally.ratio()
    return GateRow(tally, ratio, None if tally.failure else gate_verdict(ratio, limit))


def prepare_side(repository: Path, revision: str, state: Path, report: Callable[[Progress], None]) -> Side:
    """`prepare`, with a word to who waits. Raises UsageError when the commit has no backend at all."""
    report(Progress(0, 1, f"building {revision[:40]}", "", 0, 1))
    side = prepare(repository, revision, state)
    if not side.built:
        raise UsageError(f"{revision} has no backends: there is no backends/*/pyproject.toml in its commit")
    return side
