# SPDX-License-Identifier: BSD-3-Clause
"""A process for foreign code, and its guard: what foreign code starts ends with it, and what it does to its parent it
does to the guard."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from allocmark.engine._engine import ffi, lib

_MAYBE = " (code that signals its parent does this)"
_SECONDS = 4.0  #: that a guard may take to end everything


def guarded(parent: int, report: int = -1) -> None:
    """Split this process, which has one thread: it becomes the guard of a new one, in which this returns.

    The guard ends it when ``parent``, its own, is gone or asks for that. It writes to ``report`` how it ended, for
    `Guard`; without one it ends as the new one does.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    guard = os.getpid()
    if worker := os.fork():
        lib.am_guard(worker, parent, report)  # does not return
    lib.am_end_with(guard)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if report >= 0:
        os.close(report)


@dataclass(frozen=True)
class Ending:
    """How a guarded process ended: its exit status, below zero the number of the signal that killed it.

    ``blame`` says, as what it did, which signal its guard got.
    """

    code: int
    blame: str = ""


class Guard:
    """The guard of a process, as its parent sees it. ``report`` is where it writes; ``wait`` reaps it and gives its
    exit status, below zero a signal's number."""

    def __init__(self, pid: int, report: int, wait: Callable[[], int]) -> None:
        self.life = os.pidfd_open(pid)  #: can be read when it has ended
        self._pid = pid
        self._report = report
        self._wait = wait
        self._ending: Ending | None = None

    def has_ended(self, seconds: float) -> bool:
        """Whether it ends within so many seconds."""
        ended = select.poll()
        ended.register(self.life, select.POLLIN)
        return bool(ended.poll(1000 * seconds))

    def end(self) -> Ending:
        """End the process now, unless it has ended, and all that it started; how it ended."""
        if self._ending is None:
            # Before it is waited for: until then nothing else can have its number.
            if not self.has_ended(0):
                os.kill(self._pid, signal.SIGTERM)
                self.has_ended(_SECONDS)
            for end in (os.kill, os.killpg):
                with suppress(ProcessLookupError):
                    end(self._pid, signal.SIGKILL)
            self._ending = self._told(self._wait())
        return self._ending

    def close(self) -> None:
        """Give back what this holds; nothing may be asked afterwards."""
        os.close(self.life)
        os.close(self._report)

    def _told(self, code: int) -> Ending:
        os.set_blocking(self._report, False)
        told = ffi.new("am_ending *")
        data = b""
        with suppress(BlockingIOError):  # something that is left holds the other end
            data = os.read(self._report, ffi.sizeof("am_ending"))
        if len(data) != ffi.sizeof("am_ending"):
            return Ending(code, f"lost its parent process to {signal_name(-code)}{_MAYBE}" if code < 0 else "")
        ffi.memmove(told, data, len(data))
        name = signal_name(told.signal)
        lost = f"lost its parent process to {name}, which process {told.sender} sent"
        blame = lost if told.sender else f"sent {name} to its parent process"
        return Ending(os.waitstatus_to_exitcode(told.status), blame if told.signal else "")


def signal_name(number: int) -> str:
    """SIGTERM, or "signal 77"."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
