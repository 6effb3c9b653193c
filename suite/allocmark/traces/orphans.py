# SPDX-License-Identifier: BSD-3-Clause
"""Processes that outlive the one that started them, as daemons do."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

_SET_CHILD_SUBREAPER, _GET_CHILD_SUBREAPER = 36, 37  # of prctl(2)
_PARENT, _THREADS = 1, 17  # words of /proc/PID/stat behind the name, of which the first is the state
_libc = ctypes.CDLL(None, use_errno=True)


class Orphans:
    """While it is entered, a process whose parent ends becomes a child of this one: so it is found, whatever session it
    is in, and its number is not given to another one before `reap`. Children that were there before are left alone."""

    def __enter__(self) -> Orphans:
        was = ctypes.c_int()
        _libc.prctl(_GET_CHILD_SUBREAPER, ctypes.byref(was), 0, 0, 0)
        self._was = was.value
        self._before = {pid for pid, parent in _living() if parent == os.getpid()}
        _libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        return self

    def __exit__(self, *_: object) -> None:
        _libc.prctl(_SET_CHILD_SUBREAPER, self._was, 0, 0, 0)

    def reap(self, but: int) -> None:
        """Let those go that have ended; not the child ``but``, for which somebody else waits."""
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if ended.si_pid in (but, *self._before):
                    return
                os.waitpid(ended.si_pid, 0)

    def descendants(self) -> list[int]:
        """All that live, and came while this was entered."""
        children: dict[int, list[int]] = {}
        for pid, parent in _living():
            children.setdefault(parent, []).append(pid)
        found = [pid for pid in children.get(os.getpid(), ()) if pid not in self._before]
        for pid in found:  # it grows
            found += children.get(pid, ())
        return found


def loads(pid: int, library: Path) -> bool | None:
    """Whether a process has the library, or is just being started with it in LD_PRELOAD. None: it cannot be known."""
    name, real = os.fsencode(library), os.fsencode(library.resolve())
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                folder = Path(f"/proc/{pid}/task/{thread}")
                try:
                    mapped = (folder / "maps").read_bytes()
                    started_with = (folder / "environ").read_bytes()
                except PermissionError:
                    return None
                if mapped:  # a thread that has ended has none
                    # What is linked dynamically and has just begun has its loader, and no library yet.
                    return real in mapped or (b"/ld-" in mapped and name in started_with)
    return False


def name_of(pid: int) -> str:
    """``redis-server (123)``"""
    try:
        return f"{Path(f'/proc/{pid}/comm').read_text(errors='replace').strip()} ({pid})"
    except OSError:
        return str(pid)


def _living() -> Iterator[tuple[int, int]]:
    """Every process and its parent, less zombies."""
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{entry}/stat").read_bytes().rpartition(b")")[2].split()
                # A main thread that has ended is a zombie, too, while others go on.
                if words[0] not in b"ZX" or int(words[_THREADS]) > 1:
                    yield int(entry), int(words[_PARENT])
