# SPDX-License-Identifier: BSD-3-Clause
"""The run file: what was planned and every raw sample, as JSON Lines.

The first line is the header. Each finished round of a case (one workload with one set of parameters, all its cells
interleaved) adds one line for each cell and then one for the case, in a single write that is synced to the disk; an end
line closes the run. A round counts only with its case's line there, so a process that is killed at any moment loses
only the round that it was measuring.

A reader checks each line by its checksum, by bounds, and against the plan. It leaves out what is bad, says which lines
those are, and uses the rest. Resuming removes them, and goes on with the rounds.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from allocmark.errors import RunFileError, UsageError, show
from allocmark.results.merge import merged
from allocmark.results.records import (
    FORMAT,
    End,
    MeasuredCase,
    MeasuredCell,
    RecordError,
    RunHeader,
    case_from,
    cell_from,
    check_cell,
    check_seal,
    decode,
    encode,
    header_from,
    is_sealed,
    typed,
)

__all__ = ["FILE_NAME", "RUNS", "Run", "RunWriter", "fresh_folder", "newest_run", "read_run"]

FILE_NAME = "run.jsonl"
FLEET_FILE_NAME = "fleet.json"  #: beside the runs of several machines, which `allocmark.fleet.folder` reads
RUNS = Path("runs")  #: where runs go that are given no folder
_MOST_NOTES = 5
_CUT = "cut off here"


@dataclass(frozen=True)
class Run:
    """A run file that was read, its cases in the order of the plan, each `merged` from its ``rounds``.

    ``damage`` has, by the number of a line, what is wrong there. Cells that cannot be used are in no case.
    """

    path: Path
    header: RunHeader
    rounds: Mapping[int, tuple[MeasuredCase, ...]]
    end: End | None
    damage: Mapping[int, str]

    @cached_property
    def cases(self) -> tuple[MeasuredCase, ...]:
        """Those of which anything was measured."""
        return tuple(merged(self.rounds[case]) for case in sorted(self.rounds))

    @property
    def notes(self) -> list[str]:
        """``FILE:LINE: what is wrong``, one for each line that is damaged; the first few of them."""
        shown = [f"{self.path}:{line}: {what}" for line, what in sorted(self.damage.items())]
        more = len(shown) - _MOST_NOTES
        return [*shown[:_MOST_NOTES], f"{self.path}: {more} more damaged lines"] if more > 0 else shown

    def is_whole(self, case: MeasuredCase) -> bool:
        """Whether nothing of the case, or of a round of it, is missing."""
        return not case.cut_short and len(case.cells) == len(self.header.plan[case.case].cells)


def read_run(path: str | os.PathLike[str]) -> Run:
    """Read a run file, or the one in a run's folder. What is damaged is left out; ``damage`` tells.

    Raises RunFileError, one line, for everything that is not such a file, and when its first line is damaged.
    """
    file = _locate(Path(path))
    try:
        return _parse(file, file.read_bytes())[0]
    except OSError as error:
        raise RunFileError(f"{file}: cannot be read: {error.strerror}") from error


def newest_run() -> Path:
    """The run in `RUNS` that was written last. UsageError when there is none."""
    found = [(file.stat().st_mtime_ns, file) for file in RUNS.glob(f"*/{FILE_NAME}") if file.is_file()]
    if not found:
        raise UsageError(f"there is no run in {RUNS}/: name a run file or its folder, or measure with `allocmark run`")
    return max(found)[1]


def fresh_folder(within: Path = RUNS) -> Path:
    """A new folder ``within`` another, named by date and time; a number tells two of the same second apart."""
    base = datetime.now().strftime("%Y%m%d-%H%M%S")
    for number in itertools.count(1):
        with contextlib.suppress(FileExistsError):
            path = within / (base if number == 1 else f"{base}-{number}")
            path.mkdir(parents=True)
            break
    return path


class RunWriter:
    """Writes one run file, locked meanwhile. Leaving the context closes the file and does not end the run."""

    def __init__(self, path: Path, fd: int, header: RunHeader) -> None:
        """Use `create` or `resume`."""
        self.path = path
        self.header = header
        self.failed = 0  #: how many cases of the resumed run have a failed cell, and are measured again
        self.removed: list[str] = []  #: notes on the damaged lines that resuming removed
        self.seconds = 0.0  #: that the run took until it was stopped
        self._measured_seconds = 0.0
        self._fd = fd
        self._rounds: dict[int, list[MeasuredCase]] = {}
        self._attempts: dict[int, int] = {}

    def rounds_of(self, case: int) -> Sequence[MeasuredCase]:
        """The rounds of a case that are in the file and count."""
        return tuple(self._rounds.get(case, ()))

    @classmethod
    def create(cls, directory: str | os.PathLike[str], header: RunHeader) -> Self:
        """Start a run in ``directory``, which is made if needed. RunFileError when there is one already."""
        path = Path(directory) / FILE_NAME
        try:
            line = encode("run", header)
            header_from(decode(line))
        except RecordError as error:
            raise RunFileError(f"{path}: not written: the header cannot be read back: {error}") from error
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError as error:
            if not path.parent.is_dir():
                raise RunFileError(f"{path.parent}: is a file, and a run needs a folder: choose another") from error
            raise RunFileError(f"{path}: exists already: resume that run, or choose another folder") from error
        except OSError as error:
            raise _unwritable(path, error) from error
        writer = cls(path, fd, header)
        with contextlib.ExitStack() as undo:
            undo.callback(writer.close)
            undo.callback(path.unlink)
            _lock(path, fd)
            writer._append(line)
            _sync_folder(path.parent)
            undo.pop_all()
        return writer

    @classmethod
    def resume(cls, directory: str | os.PathLike[str]) -> Self:
        """Go on with a run. Only whole rounds stay in the file: the end, and what is damaged, are removed.

        The rounds of a case with a failed cell stay in the file, and count until the first one of another attempt.
        """
        path = _locate(Path(directory))
        try:
            fd = os.open(path, os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise _unwritable(path, error) from error
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, fd)
            _lock(path, fd)
            _beside(path).unlink(missing_ok=True)
            data = path.read_bytes()
            run, whole = _parse(path, data)
            if data.startswith(whole):
                os.ftruncate(fd, len(whole))
                os.fsync(fd)
            else:
                # The old one keeps its lock until it is closed.
                old, fd = fd, _rewritten(path, whole)
                os.close(old)
            undo.pop_all()
        writer = cls(path, fd, run.header)
        writer.removed = run.notes
        for number, rounds in run.rounds.items():
            kept = [each for each in rounds if run.is_whole(each)]
            if not kept:
                continue
            if merged(kept).failed:
                writer.failed += 1
                writer._attempts[number] = kept[0].attempt + 1
                continue
            writer._rounds[number] = kept
            writer._attempts[number] = kept[0].attempt
            writer.seconds += sum(each.seconds for each in kept)
            writer._measured_seconds += sum(each.measured_seconds for each in kept)
        return writer

    def write_round(self, case: MeasuredCase) -> MeasuredCase:
        """Add a finished round, on the disk when this returns: the round as it is there.

        Raises RunFileError, and then adds nothing.
        """
        case = replace(case, attempt=self._attempts.get(case.case, 0))
        if any(each.round == case.round for each in self.rounds_of(case.case)):
            raise RunFileError(f"{self.path}: round {case.round} of case {case.case} is there already")
        try:
            cells = [encode("cell", cell) for cell in case.cells]
            line = encode("case", case)
            # What is written is what can be read: the reader's checks run first.
            found = case_from(decode(line), self.header)
            for cell in cells:
                check_cell(cell_from(decode(cell)), found, self.header)
        except RecordError as error:
            raise RunFileError(f"{self.path}: not written: case {case.case}: {error}") from error
        self._append(b"".join([*cells, line]))
        self._rounds.setdefault(case.case, []).append(case)
        return case

    def end(self, seconds: float, measured_seconds: float, interrupted: bool) -> None:
        """Close the run: nothing more is added, unless it is resumed. What was measured before is added up."""
        total, measured = self.seconds + seconds, self._measured_seconds + measured_seconds
        rounds = sum(map(len, self._rounds.values()))
        self._append(encode("end", End(total, measured, interrupted, rounds)))

    def close(self) -> None:
        """Close the file. May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, data: bytes) -> None:
        before = os.fstat(self._fd).st_size
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
            os.fsync(self._fd)
        except OSError as error:
            # A full disk must not leave half a case in the middle of the file.
            os.ftruncate(self._fd, before)
            raise _unwritable(self.path, error) from error


def _parse(path: Path, data: bytes) -> tuple[Run, bytes]:
    """The run in ``data``, and the lines of its header and its whole cases."""
    lines = io.BytesIO(data).readlines()
    found = _Lines(_header(path, lines))
    seals = is_sealed(lines[0])
    for number, line in enumerate(lines[1:], 2):
        try:
            record = decode(line)
        except RecordError as error:
            found.damage[number] = str(error) if number < len(lines) else _CUT
            continue
        try:
            if seals or "crc" in record:
                check_seal(line)
            found.add(number, record)
        except RecordError as error:
            found.damage[number] = str(error)
    found.finish(len(lines))
    rounds = {case: tuple(by_round[i] for i in sorted(by_round)) for case, by_round in found.rounds.items()}
    run = Run(path, found.header, rounds, found.end, found.damage)
    whole = sorted(
        number
        for each in (case for by_round in rounds.values() for case in by_round)
        if run.is_whole(each)
        for number in found.used[each.case, each.round]
    )
    return run, b"".join([lines[0], *(lines[number - 1] for number in whole)])


class _Lines:
    """What the lines of a run file hold, one after the other; ``damage`` says what cannot be used.

    ``rounds`` has those of each case by their numbers, ``used`` the lines of each by case and round.
    """

    def __init__(self, header: RunHeader) -> None:
        self.header = header
        self.rounds: dict[int, dict[int, MeasuredCase]] = {}
        self.used: dict[tuple[int, int], list[int]] = {}
        self.end: End | None = None
        self.damage: dict[int, str] = {}
        self._waiting: dict[int, MeasuredCell] = {}  # for the line of their case, by the numbers of their own
        self._last = 1  # the last line that was a case or the end

    def add(self, number: int, record: dict[str, Any]) -> None:
        """Take the members of a line. RecordError for what is no record of this run."""
        if self.end is not None:
            self.damage[self._last] = "the end of the run, but more lines follow"
            self.end = None
        match record.get("type"):
            case "cell":
                self._waiting[number] = cell_from(record)
                return
            case "case":
                self._case(number, case_from(record, self.header))
            case "end":
                self.end = typed(End, record)
            case kind:
                raise RecordError(f'"type" is {show(kind)}, expected "cell", "case" or "end"')
        self._last = number

    def _case(self, number: int, case: MeasuredCase) -> None:
        rounds = self.rounds.get(case.case, {})
        attempt = next((each.attempt for each in rounds.values()), case.attempt)
        # A file without rounds has no attempts: there the later case replaced one with a failed cell.
        old = "rounds" not in self.header.settings and any(each.failed for each in rounds.values())
        again = case.attempt > attempt or old
        if case.attempt < attempt or (case.round in rounds and not again):
            raise RecordError(f"{_name(case)} is there for the second time")
        cells: dict[str, MeasuredCell] = {}
        used = [number]
        for place, cell in [(n, cell) for n, cell in self._waiting.items() if cell.case == case.case]:
            del self._waiting[place]
            try:
                check_cell(cell, case, self.header)
                if cell.label in cells:
                    raise RecordError(f"{cell.label} is there for the second time")
            except RecordError as error:
                self.damage[place] = str(error)
                continue
            cells[cell.label] = cell
            used.append(place)
        order = [cell.label for cell in self.header.plan[case.case].cells]
        missing = [label for label in order if label not in cells]
        # A damaged line before this one was probably a missing cell, and is told already.
        if len(missing) > sum(self._last < place < number for place in self.damage):
            self.damage[number] = f"{_name(case)} lacks {', '.join(missing)}"
        if cells:
            whole = replace(case, cells=tuple(cells[label] for label in order if label in cells))
            self.rounds[case.case] = ({} if again else rounds) | {case.round: whole}
            self.used[case.case, case.round] = used

    def finish(self, lines: int) -> None:
        """Say what is missing after the last of the ``lines``."""
        tail = [place for place in self._waiting if place > self._last]
        if tail and self.end is None and self.damage.get(lines, _CUT) == _CUT:
            self.damage.pop(lines, None)
            self.damage[tail[0]] = _CUT
        for place, cell in self._waiting.items():
            if place + 1 not in self.damage and place not in tail:
                self.damage[place] = f"{cell.label} of case {cell.case}: the line of its case is missing"
        if self.end is None or self.end.interrupted:
            return
        missing = [case.title for case in self.header.plan if case.case not in self.rounds]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            self.damage[lines] = f"the end of the run, but there is no usable record of {missing[0]}{more}"
        elif self.end.rounds is not None and (lost := self.end.rounds - sum(map(len, self.rounds.values()))) > 0:
            self.damage.setdefault(lines, f"the end of a run of {self.end.rounds} rounds, of which {lost} are missing")


def _name(case: MeasuredCase) -> str:
    return f"round {case.round} of case {case.case}"


def _header(path: Path, lines: list[bytes]) -> RunHeader:
    if not lines:
        raise RunFileError(f"{path}: empty, nothing was measured: remove it and run again")
    if lines[0].startswith(b'{"type":"run"') and not lines[0].endswith(b"\n"):
        raise RunFileError(f"{path}:1: the first line is cut off, nothing was measured: remove it and run again")
    try:
        record = decode(lines[0])
    except RecordError:
        record = {}
    form = record.get("format")
    if record.get("type") != "run" or type(form) is not int or form < 1:
        raise RunFileError(f"{path}: not a run file of allocmark: give a run's folder or its {FILE_NAME}")
    if form > FORMAT:
        raise RunFileError(f"{path}:1: format {form} is newer than this allocmark reads ({FORMAT}): update allocmark")
    try:
        if "crc" in record:
            check_seal(lines[0])
        return header_from(record)
    except RecordError as error:
        raise RunFileError(f"{path}:1: damaged: {error}: restore the file from a copy, or run again") from error


def _locate(path: Path) -> Path:
    try:
        if path.is_dir():
            path = path / FILE_NAME
            if not path.exists() and (path.parent / FLEET_FILE_NAME).exists():
                raise RunFileError(
                    f"{path.parent}: the folder of a fleet: `allocmark report` writes its page, `allocmark fleet show` "
                    "prints its table; else give the folder of one of its runs, MACHINE/CASE"
                )
            if not path.exists():
                raise RunFileError(f"{path.parent}: a folder without a {FILE_NAME}: give the folder of a run")
        elif not path.exists():
            raise RunFileError(f"{path}: not found: give a run's folder or its {FILE_NAME}")
    except OSError as error:
        raise RunFileError(f"{path}: cannot be read: {error.strerror}") from error
    if not path.is_file():
        raise RunFileError(f"{path}: not a regular file: give a run's folder or its {FILE_NAME}")
    return path


def _lock(path: Path, fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        replaced = not os.path.samestat(os.fstat(fd), os.stat(path))  # by `_rewritten`, after it was opened
    except BlockingIOError:
        replaced = True
    if replaced:
        raise RunFileError(f"{path}: another process is writing this run: wait until it is over")


def _beside(path: Path) -> Path:
    """Where `_rewritten` writes; left behind only by a process that was killed."""
    return path.with_name(f".{path.name}-new")


def _rewritten(path: Path, data: bytes) -> int:
    """Replace the file by one that holds ``data``: open and locked. Until that is on the disk the old one stays."""
    new = _beside(path)
    try:
        fd = os.open(new, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            with open(fd, "wb", closefd=False) as file:
                file.write(data)
            os.fsync(fd)
            os.replace(new, path)
        except BaseException:
            os.close(fd)
            new.unlink()
            raise
    except OSError as error:
        raise _unwritable(path, error) from error
    _sync_folder(path.parent)
    return fd


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _unwritable(path: Path, error: OSError) -> RunFileError:
    return RunFileError(f"{path}: cannot be written: {error.strerror}: choose another folder or make room")
