# SPDX-License-Identifier: BSD-3-Clause
"""The file of a comparison in progress: JSON Lines, one per round, each with a checksum. A kill loses only the round in
flight, and a line that was damaged is left out."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from allocmark.errors import AllocmarkError
from allocmark.results.records import RecordError, check_seal, sealed


class Journal:
    """Open in one process at a time. ``records`` are those it had when it was opened, and those added since."""

    def __init__(self, folder: Path, name: str, header: Mapping[str, Any]) -> None:
        """Open the journal in ``folder`` that has this header, or begin one.

        Raises AllocmarkError when another process has it open, or it cannot be written.
        """
        text = json.dumps(header, sort_keys=True, default=dict)
        self.path = folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.jsonl"
        self.records: list[dict[str, Any]] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b", buffering=0)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise AllocmarkError(f"{self.path}: another process is measuring this now: wait until it ends") from error
        self._recover(sealed(text.encode()))

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record; it is on the disk when this returns."""
        self._write(sealed(json.dumps(record).encode()))
        self.records.append(dict(record))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _recover(self, header: bytes) -> None:
        self._file.seek(0)
        lines = self._file.readlines()
        if lines and not lines[-1].endswith(b"\n"):  # half-written by a process that was killed
            self._file.truncate(sum(map(len, lines[:-1])))
            del lines[-1]
        if not lines:
            self._write(header)
        for line in dict.fromkeys(lines):  # no round counts twice
            try:
                check_seal(line)
            except RecordError:
                continue
            if line != header:
                record = json.loads(line)
                del record["crc"]
                self.records.append(record)

    def _write(self, line: bytes) -> None:
        before = os.fstat(self._file.fileno()).st_size
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._file.fileno(), rest) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            os.ftruncate(self._file.fileno(), before)  # a full disk must not leave half a line in the middle
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> AllocmarkError:
        return AllocmarkError(f"{self.path}: cannot be written: {error.strerror}")
