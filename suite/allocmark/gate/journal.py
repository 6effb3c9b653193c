# SPDX-License-Identifier: BSD-3-Clause
"""The file of a comparison in progress: JSON Lines, one per round. A kill loses only the round in flight."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from allocmark.errors import AllocmarkError


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
            self._file = self.path.open("a+b")
        except OSError as error:
            raise AllocmarkError(f"{self.path}: cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise AllocmarkError(f"{self.path}: another process is measuring this now: wait until it ends") from error
        self._recover(text)

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record; it is on the disk when this returns."""
        self._write(json.dumps(record))
        self.records.append(dict(record))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _recover(self, header: str) -> None:
        self._file.seek(0)
        whole = 0
        lines = self._file.readlines()
        for line in lines:
            try:
                record = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                record = None
            if not isinstance(record, dict):
                break  # half-written by a process that was killed
            whole += len(line)
            self.records.append(record)
        self._file.truncate(whole)
        if self.records:
            del self.records[0]  # the header; its digest is in the file's name
        else:
            self._write(header)

    def _write(self, line: str) -> None:
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
