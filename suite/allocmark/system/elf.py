# SPDX-License-Identifier: BSD-3-Clause
"""What a shared library's file says about itself, without loading it."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct("<16sHHIQQQIHHH")  # up to the number of program headers
_SEGMENT = struct.Struct("<IIQQQQQQ")
_NOTE = struct.Struct("<III")
_SHARED_OBJECT, _NOTES, _BUILD_ID = 3, 4, 3  # of e_type, p_type and a note's type
_MOST_NOTES = 1 << 20  # bytes; a file that claims more is damaged
_MACHINES = {3: "i686", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64"}


class NotLoadableError(ValueError):
    """Why a file cannot be loaded as a library here: what it is, in words."""


@dataclass(frozen=True)
class LibraryFile:
    """A shared library for this machine. ``build_id``: "" where its linker wrote none."""

    path: Path
    build_id: str

    @classmethod
    def read(cls, path: Path) -> LibraryFile:
        """Raises NotLoadableError, or OSError for a file that cannot be read."""
        mode = os.stat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # to open a pipe would wait
            raise NotLoadableError("is no file")
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
            if head[:4] != b"\x7fELF" or len(head) < _HEADER.size:
                raise NotLoadableError("is no shared library (it has no ELF header)")
            wide, little = head[4] == 2, head[5] == 1
            kind, machine = struct.unpack_from("<HH" if little else ">HH", head, 16)
            name = _MACHINES.get(machine, f"machine {machine}")
            if name != platform.machine() or not wide:
                raise NotLoadableError(f"is for {name}, and this machine is {platform.machine()}")
            if kind != _SHARED_OBJECT:
                raise NotLoadableError("is an object file or a program that is no shared library")
            *_, start, _, _, _, size, count = _HEADER.unpack(head)
            bytes_of_file = os.fstat(file.fileno()).st_size
            if size < _SEGMENT.size or start + size * count > bytes_of_file:
                raise NotLoadableError("is damaged: it ends before its program headers do")
            file.seek(start)
            table = file.read(size * count)
            notes = b""
            for offset in range(0, len(table), size):
                segment, _, at, _, _, length, *_ = _SEGMENT.unpack_from(table, offset)
                if at + length > bytes_of_file:
                    raise NotLoadableError("is damaged: it ends before its segments do")
                if segment == _NOTES:
                    file.seek(at)
                    notes += file.read(min(length, _MOST_NOTES))
        return cls(path, _build_id(notes))


def _build_id(notes: bytes) -> str:
    at = 0
    while at + _NOTE.size <= len(notes):
        names, length, kind = _NOTE.unpack_from(notes, at)
        begins = at + _NOTE.size + (names + 3) // 4 * 4
        if kind == _BUILD_ID and notes[at + _NOTE.size :].startswith(b"GNU\0"):
            return notes[begins : begins + length].hex()
        at = begins + (length + 3) // 4 * 4
    return ""


def build_id(path: str) -> str:
    """That of a library, "" where there is none."""
    try:
        return LibraryFile.read(Path(path)).build_id
    except (OSError, NotLoadableError):
        return ""


def build_of(path: str) -> str:
    """What tells a build of a file from every other: its build id, or a digest of its content where it has none; ""
    for a file that cannot be read."""
    try:
        return build_id(path) or hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""


def text_in(path: Path, pattern: bytes) -> str:
    """What the first group of ``pattern`` matches in a file, such as a version; "" where it matches nothing."""
    found = re.search(pattern, path.read_bytes())
    return found[1].decode(errors="replace") if found else ""
