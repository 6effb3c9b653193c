# SPDX-License-Identifier: BSD-3-Clause
"""Which commit made it slower? Halves the commits between a good and a bad one, each measured against the good one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from allocmark import plugins
from allocmark.errors import AllocmarkError, UsageError
from allocmark.gate.contest import Tally, contest
from allocmark.gate.gate import (
    LIMIT,
    MINUTES,
    Gate,
    GateRow,
    header_of,
    is_certain,
    measure_gate,
    prepare_side,
    row_of,
    state_folder,
)
from allocmark.gate.journal import Journal
from allocmark.gate.pairs import Pair, make_pairs
from allocmark.gate.revision import git, resolve
from allocmark.gate.side import Side
from allocmark.measuring.request import Request
from allocmark.measuring.schedule import Progress
from allocmark.stats import Estimate, Verdict


@dataclass(frozen=True)
class BisectStep:
    """A commit that was looked at: "good", "bad" or "skipped", with the ratio to the good end or the reason."""

    commit: str
    verdict: str
    ratio: Estimate | None = None
    reason: str = ""


@dataclass(frozen=True)
class Bisection:
    """``candidates``: the commits among which the first bad one is, oldest first; one when it was found.

    ``cause`` is the cell of the two ends that was followed, ``proof`` the same cell of the first bad commit against
    its parent.
    """

    gate: Gate
    cause: GateRow
    steps: tuple[BisectStep, ...]
    candidates: tuple[str, ...]
    subjects: Mapping[str, str]
    proof: GateRow | None

    @property
    def first_bad(self) -> str | None:
        """The commit, when there is only one that it can be."""
        return self.candidates[0] if len(self.candidates) == 1 else None


def bisect(
    repository: Path,
    good: str,
    bad: str,
    request: Request,
    report: Callable[[Progress], None],
    *,
    limit: float = LIMIT,
    minutes: float = MINUTES,
) -> Gate | Bisection:
    """Finds the first commit after ``good`` that has the worst slowdown of ``bad``; the gate, when there is none.

    Commits are those of the first-parent line. One counts as bad when it certainly has more than half of the slowdown,
    as good when it has less; one that cannot be built, measured or told is skipped with its reason. ``minutes`` are the
    budget of each comparison. A bisection that was killed goes on where it was.
    """
    commits = _between(repository, good, bad)
    state = state_folder(repository)
    folder = state / "bisections" / f"{resolve(repository, good)[:10]}-{commits[-1][:10]}"
    ends = measure_gate(repository, good, bad, request, report, folder, limit=limit, minutes=minutes)
    slower = [row for row in ends.rows if row.verdict == Verdict.SLOWER]
    if not slower:
        _put_away(folder, state)
        return ends
    # The surest, not the largest: what is followed must be told again at every step.
    cause = max(slower, key=lambda row: row.ratio.low if row.ratio else 0.0)
    search = _Search(repository, state, folder, ends, cause, request, report, 60 * minutes)
    steps, candidates = search.run(commits)
    proof = None
    if len(candidates) == 1:
        index = commits.index(candidates[0])
        proof = search.prove(commits[index - 1] if index else ends.base.commit, candidates[0])
    _put_away(folder, state)
    subjects = {commit: git(repository, "log", "-1", "--format=%s", commit).strip() for commit in candidates}
    return Bisection(ends, cause, tuple(steps), tuple(candidates), subjects, proof)


def _put_away(folder: Path, state: Path) -> None:
    """Asked for again, a finished bisection begins anew."""
    if folder.is_dir():
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        (state / "finished").mkdir(exist_ok=True)
        folder.rename(state / "finished" / f"bisection-{stamp}-{folder.name}")


def _between(repository: Path, good: str, bad: str) -> list[str]:
    """The commits after ``good`` up to ``bad``, oldest first."""
    first, last = resolve(repository, good), resolve(repository, bad)
    line = git(repository, "rev-list", "--first-parent", "--reverse", last).split()
    if first not in line:
        raise UsageError(
            f"{good} is not on the first-parent line of {bad}: bisect between a commit and one that was made on it "
            f"(`git merge-base {good} {bad}` is one)"
        )
    if first == last:
        raise UsageError(f"{good} and {bad} are the same commit: there is nothing between them")
    return line[line.index(first) + 1 :]


@dataclass
class _Search:
    """The state of a bisection: everything that one step needs."""

    repository: Path
    state: Path
    folder: Path
    ends: Gate
    cause: GateRow
    request: Request
    report: Callable[[Progress], None]
    seconds: float

    def run(self, commits: Sequence[str]) -> tuple[list[BisectStep], list[str]]:
        """The steps taken, and the commits among which the first bad one is."""
        known = {self._files(self.ends.base): "good", self._files(self.ends.head): "bad"}
        steps: list[BisectStep] = []
        skipped: set[int] = set()
        low, high = -1, len(commits) - 1  # the last good and the first bad one that are known
        while middles := [i for i in range(low + 1, high) if i not in skipped]:
            middle = min(middles, key=lambda i: abs(2 * i - low - high))
            step = self._look(commits[middle], known)
            steps.append(step)
            if step.verdict == "bad":
                high = middle
            elif step.verdict == "good":
                low = middle
            else:
                skipped.add(middle)
        return steps, list(commits[low + 1 : high + 1])

    def prove(self, before: str, after: str) -> GateRow | None:
        """The cell of a commit against the one before it, judged as by a gate; None when that one cannot be had."""
        limit = self.ends.limit
        try:
            sides = [prepare_side(self.repository, commit, self.state, self.report) for commit in (before, after)]
            return row_of(self._contest(sides[0], sides[1], lambda ratio: is_certain(ratio, limit)), limit)
        except AllocmarkError:
            return None

    def _look(self, commit: str, known: dict[str | None, str]) -> BisectStep:
        try:
            side = prepare_side(self.repository, commit, self.state, self.report)
            files = self._files(side)
            if files in known:
                return BisectStep(commit, known[files], reason="the same files as one that was judged")
            tally = self._contest(self.ends.base, side, self._decided)
        except AllocmarkError as error:
            return BisectStep(commit, "skipped", reason=str(error))
        ratio = tally.ratio()
        if tally.failure or ratio is None or not self._decided(ratio):
            return BisectStep(commit, "skipped", ratio, tally.failure or "cannot tell")
        known[files] = "bad" if ratio.low > self._half() else "good"
        return BisectStep(commit, known[files], ratio)

    def _half(self) -> float:
        """Half of the slowdown that is looked for."""
        assert self.cause.ratio
        return math.sqrt(self.cause.ratio.value)

    def _decided(self, ratio: Estimate | None) -> bool:
        return ratio is not None and ratio.covered and not ratio.low <= self._half() <= ratio.high

    def _contest(self, base: Side, head: Side, decided: Callable[[Estimate | None], bool]) -> Tally:
        pair = self._pair(base, head)
        header = header_of((base, head), [pair], self.request, self.ends.limit)
        with Journal(self.folder, f"{base.commit[:10]}-{head.commit[:10]}", header) as journal:
            (tally,) = contest([pair], self.request, journal, decided, self.seconds, self.report)
        return tally

    def _pair(self, base: Side, head: Side) -> Pair:
        """The cell that is followed, of these two."""
        cause = self.cause.tally.pair
        dirs = plugins.load().workload_dirs
        request = replace(self.request, backends=[cause.label])
        found = make_pairs(base, head, request, dirs, unchanged=True)
        for pair in found.cells:
            if pair.key == cause.key:
                return pair
        raise AllocmarkError("; ".join(f"{missing.what}: {missing.reason}" for missing in found.missing))

    def _files(self, side: Side) -> str | None:
        """What the followed backend consists of."""
        return side.files_of(self.cause.tally.pair.case.cells[1])
