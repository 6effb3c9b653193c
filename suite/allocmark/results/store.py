# SPDX-License-Identifier: BSD-3-Clause
"""The run file: what was planned and every raw sample, as JSON Lines. It only grows.

The first line is the header. Each finished case (one workload with one set of parameters, all its cells
interleaved) adds one line for each cell and then its own, in a single write that is synced to the disk; an end
line closes the run. A case counts only with its own line there, so a process
that is killed at any moment loses only the case that it was measuring.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from allocmark.errors import RunFileError
from allocmark.results.records import (
    FORMAT,
    End,
    MeasuredCase,
    MeasuredCell,
    RecordError,
    RunHeader,
    case_from,
    cell_from,
    decode,
    encode,
    header_from,
    typed,
)

__all__ = ["FILE_NAME", "Run", "RunWriter", "read_run"]

FILE_NAME = "run.jsonl"


@dataclass(frozen=True)
class Run:
    """A run file that was read, its cases in the order of the plan.

    ``torn`` is the number of the first line that is cut off, or None when the file is whole.
    """

    path: Path
    header: RunHeader
    cases: tuple[MeasuredCase, ...]
    end: End | None
    torn: int | None


def read_run(path: str | os.PathLike[str]) -> Run:
    """Read a run file, or the one in a run's folder. A tail that was cut off is left out; ``torn`` tells.

    Raises RunFileError, one line, for everything that is not such a file.
    """
    file = _locate(Path(path))
    try:
        return _parse(file, file.read_bytes())[0]
    except OSError as error:
        raise RunFileError(f"{file}: cannot be read: {error.strerror}") from error


class RunWriter:
    """Writes one run file, locked meanwhile. Leaving the context closes the file and does not end the run."""

    def __init__(self, path: Path, fd: int, header: RunHeader, done: set[int], failed: int = 0) -> None:
        """Use `create` or `resume`."""
        self.path = path
        self.header = header
        self.done = done  #: the cases that are in the file and need not be measured again
        self.failed = failed  #: how many cases of the resumed run have a failed cell, and are measured again
        self._fd = fd
        self._seconds = self._measured_seconds = 0.0  # of the cases that were there when it was resumed

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
        writer = cls(path, fd, header, set())
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
        """Go on with a run. What follows its last complete case is cut off, the end as well.

        A case with a failed cell is not `done`: it stays in the file until it is written again.
        """
        path = _locate(Path(directory))
        try:
            fd = os.open(path, os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise _unwritable(path, error) from error
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, fd)
            _lock(path, fd)
            run, whole = _parse(path, path.read_bytes())
            os.ftruncate(fd, whole)
            os.fsync(fd)
            undo.pop_all()
        kept = [case for case in run.cases if not case.cut_short and not case.failed]
        failed = sum(case.failed for case in run.cases)
        writer = cls(path, fd, run.header, {case.case for case in kept}, failed)
        writer._seconds = sum(case.seconds for case in kept)
        writer._measured_seconds = sum(case.measured_seconds for case in kept)
        return writer

    def write_case(self, case: MeasuredCase) -> None:
        """Add a finished case, on the disk when this returns. Raises RunFileError, and then adds nothing."""
        if case.case in self.done:
            raise RunFileError(f"{self.path}: case {case.case} is there already")
        try:
            cells = [encode("cell", cell) for cell in case.cells]
            line = encode("case", case)
            # What is written is what can be read: the reader's checks run first.
            case_from(decode(line), [cell_from(decode(cell)) for cell in cells], self.header.plan)
        except RecordError as error:
            raise RunFileError(f"{self.path}: not written: case {case.case}: {error}") from error
        self._append(b"".join([*cells, line]))
        self.done.add(case.case)

    def end(self, seconds: float, measured_seconds: float, interrupted: bool) -> None:
        """Close the run: nothing more is added, unless it is resumed. What was measured before is added up."""
        total, measured = self._seconds + seconds, self._measured_seconds + measured_seconds
        self._append(encode("end", End(total, measured, interrupted)))

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


def _parse(path: Path, data: bytes) -> tuple[Run, int]:
    """The run in ``data``, and the bytes up to the end of its last case that is complete and was not cut short."""
    lines = io.BytesIO(data).readlines()
    header = _header(path, lines)
    whole = offset = len(lines[0])
    cases: dict[int, MeasuredCase] = {}
    cells: list[MeasuredCell] = []
    end = torn = None
    for number, line in enumerate(lines[1:], 2):
        try:
            record = decode(line)
        except RecordError as error:
            if number < len(lines):
                raise _damaged(path, number, error) from error
            torn = number - len(cells)
            break
        offset += len(line)
        try:
            if end is not None:
                raise RecordError("follows the end of the run")
            match record.get("type"):
                case "cell":
                    cells.append(cell_from(record))
                case "case":
                    case = case_from(record, cells, header.plan)
                    if case.case in cases and not cases[case.case].failed:
                        raise RecordError(f"case {case.case} is there for the second time")
                    cases[case.case] = case
                    cells = []
                    if not case.cut_short:
                        whole = offset
                case "end":
                    if cells:
                        raise RecordError("the end follows a case that is not complete")
                    end = typed(End, record)
                case kind:
                    raise RecordError(f'"type" is {kind!r}, expected "cell", "case" or "end"')
        except RecordError as error:
            raise _damaged(path, number, error) from error
    if cells and torn is None:
        torn = len(lines) + 1 - len(cells)
    return Run(path, header, tuple(cases[index] for index in sorted(cases)), end, torn), whole


def _header(path: Path, lines: list[bytes]) -> RunHeader:
    if not lines:
        raise RunFileError(f"{path}: empty, nothing was measured: remove it and run again")
    if lines[0].startswith(b'{"type":"run"') and not lines[0].endswith(b"\n"):
        raise RunFileError(f"{path}:1: the first line is cut off, nothing was measured: remove it and run again")
    try:
        record: dict[str, Any] = decode(lines[0])
    except RecordError:
        record = {}
    form = record.get("format")
    if record.get("type") != "run" or type(form) is not int or form < 1:
        raise RunFileError(f"{path}: not a run file of allocmark: give a run's folder or its {FILE_NAME}")
    if form > FORMAT:
        raise RunFileError(f"{path}:1: format {form} is newer than this allocmark reads ({FORMAT}): update allocmark")
    try:
        return header_from(record)
    except RecordError as error:
        raise _damaged(path, 1, error) from error


def _damaged(path: Path, number: int, error: RecordError) -> RunFileError:
    return RunFileError(f"{path}:{number}: damaged: {error}: restore the file from a copy, or run again")


def _locate(path: Path) -> Path:
    try:
        if path.is_dir():
            path = path / FILE_NAME
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
    except BlockingIOError as error:
        raise RunFileError(f"{path}: another process is writing this run: wait until it is over") from error


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _unwritable(path: Path, error: OSError) -> RunFileError:
    return RunFileError(f"{path}: cannot be written: {error.strerror}: choose another folder or make room")
