# SPDX-License-Identifier: BSD-3-Clause
"""Which commit made it slower? Halves the commits between a good and a bad one; each is measured against the good."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from allocmark.discovery import discover
from allocmark.errors import AllocmarkError, UsageError
from allocmark.gate.gate import (
    Gate,
    GateRow,
    is_certain,
    measure_gate,
    open_journal,
    prepare_side,
    put_away,
    row_of,
    state_folder,
)
from allocmark.gate.pairs import Pair, make_pairs
from allocmark.gate.revisions.git import git, resolve
from allocmark.gate.revisions.side import Side
from allocmark.gate.rounds import GateRequest, Tally, measure_rounds
from allocmark.stats import Estimate, Verdict


@dataclass(frozen=True)
class BisectStep:
    """A commit that was tried: "good", "bad" or "skipped", with its ratio to the good end, or the reason."""

    commit: str
    verdict: str
    ratio: Estimate | None = None
    reason: str = ""


@dataclass(frozen=True)
class Bisection:
    """The result. ``candidates``, oldest first: one of these is the first bad commit.

    ``gate`` compares the two ends; ``cause`` is its cell that was followed; ``proof`` is the same cell of the first bad
    commit against the commit before it.
    """

    gate: Gate
    cause: GateRow
    steps: tuple[BisectStep, ...]
    candidates: tuple[str, ...]
    subjects: Mapping[str, str]
    proof: GateRow | None

    @property
    def first_bad(self) -> str | None:
        """The first bad commit; None when several remain."""
        return self.candidates[0] if len(self.candidates) == 1 else None


def bisect(asked: GateRequest, good: str, bad: str) -> Gate | Bisection:
    """Find the first commit after ``good`` that has the surest slowdown of ``bad``; the gate, when nothing is slower.

    Only the first-parent line is searched. A commit is bad when it certainly has more than half of the slowdown, good
    when it certainly has less; one that cannot be built or measured, or is neither, is skipped with its reason. After a
    kill, the same call continues. Raises AllocmarkError as `gate` does, and when ``good`` is not on that line.
    """
    repository = asked.repository
    commits = _between(repository, good, bad)
    state = state_folder(repository)
    folder = state / "bisections" / f"{resolve(repository, good)[:10]}-{commits[-1][:10]}"
    ends = measure_gate(asked, good, bad, folder)
    slower = [row for row in ends.rows if row.verdict == Verdict.SLOWER]
    if not slower:
        if folder.is_dir():
            put_away(folder, state, "bisection")
        return ends
    # The surest, not the largest: every step has to find it again.
    cause = max(slower, key=lambda row: row.ratio.low if row.ratio else 0.0)
    search = _Search(asked, folder, ends, cause)
    steps, candidates = search.run(commits)
    proof = None
    if len(candidates) == 1:
        index = commits.index(candidates[0])
        proof = search.prove(commits[index - 1] if index else ends.base.commit, candidates[0])
    subjects = {commit: git(repository, "log", "-1", "--format=%s", commit).strip() for commit in candidates}
    put_away(folder, state, "bisection")  # last: until here the same call would go on from it
    return Bisection(ends, cause, tuple(steps), tuple(candidates), subjects, proof)


def _between(repository: Path, good: str, bad: str) -> list[str]:
    """The commits after ``good`` up to ``bad``, oldest first."""
    first, last = resolve(repository, good), resolve(repository, bad)
    line = git(repository, "rev-list", "--first-parent", "--reverse", last).split()
    if first not in line:
        raise UsageError(
            f"{good} is not on the first-parent line of {bad}: choose a GOOD that BAD was built on, such as the one "
            f"that `git merge-base {good} {bad}` prints"
        )
    if first == last:
        raise UsageError(f"{good} and {bad} are the same commit: choose two different ones")
    return line[line.index(first) + 1 :]


@dataclass
class _Search:
    """What every step needs; see `Bisection`. The journals lie in ``folder``."""

    asked: GateRequest
    folder: Path
    ends: Gate
    cause: GateRow

    def run(self, commits: Sequence[str]) -> tuple[list[BisectStep], list[str]]:
        """The steps taken, and the commits that remain."""
        known = {self._files(self.ends.base): "good", self._files(self.ends.head): "bad"}
        steps: list[BisectStep] = []
        skipped: set[int] = set()
        low, high = -1, len(commits) - 1  # the last commit known as good, the first known as bad
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
        """The followed cell of a commit against the one before it; None when one of them cannot be built."""
        limit = self.asked.limit
        try:
            sides = [prepare_side(self.asked, commit) for commit in (before, after)]
            return row_of(self._measure(sides[0], sides[1], lambda ratio: is_certain(ratio, limit)), limit)
        except AllocmarkError:
            return None

    def _look(self, commit: str, known: dict[str | None, str]) -> BisectStep:
        try:
            side = prepare_side(self.asked, commit)
            files = self._files(side)
            if files in known:
                return BisectStep(commit, known[files], reason=f"same files as a {known[files]} commit")
            tally = self._measure(self.ends.base, side, self._decided)
        except AllocmarkError as error:
            return BisectStep(commit, "skipped", reason=str(error))
        ratio = tally.ratio()
        if tally.failure or ratio is None or not self._decided(ratio):
            return BisectStep(commit, "skipped", ratio, tally.failure or "cannot tell")
        known[files] = "bad" if ratio.low > self._half() else "good"
        return BisectStep(commit, known[files], ratio)

    def _half(self) -> float:
        """The ratio that has half of the slowdown, on the scale of logarithms."""
        assert self.cause.ratio
        return math.sqrt(self.cause.ratio.value)

    def _decided(self, ratio: Estimate | None) -> bool:
        return ratio is not None and ratio.covered and not ratio.low <= self._half() <= ratio.high

    def _measure(self, base: Side, head: Side, decided: Callable[[Estimate | None], bool]) -> Tally:
        pair = self._pair(base, head)
        with open_journal(self.asked, self.folder, (base, head), [pair]) as journal:
            (tally,) = measure_rounds([pair], self.asked, journal, decided)
        return tally

    def _pair(self, base: Side, head: Side) -> Pair:
        """The followed cell of these two sides."""
        cause = self.cause.tally.pair
        cells = replace(self.asked.cells, backends=[cause.label])
        found = make_pairs(base, head, cells, discover().workload_dirs, unchanged=True)
        for pair in found.cells:
            if pair.key == cause.key:
                return pair
        raise AllocmarkError("; ".join(f"{missing.what}: {missing.reason}" for missing in found.missing))

    def _files(self, side: Side) -> str | None:
        """The digest of the followed backend's files."""
        return side.files_of(self.cause.tally.pair.case.cells[1])
