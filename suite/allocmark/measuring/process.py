# SPDX-License-Identifier: BSD-3-Clause
"""The parent's side of one cell's process: requests, time-outs, and what became of it when it died."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

from allocmark.engine.guard import Ending, Guard, signal_name
from allocmark.errors import AllocmarkError
from allocmark.system.loading import with_tls_room

LAST_LINES = 3  #: lines of a dead process's output that are shown
MOST_OUTPUT = 8192  #: bytes of its output that are looked at


class CellFailedError(AllocmarkError):
    """This cell failed, and no other. The text says what happened."""


class CellRefusedError(CellFailedError):
    """The backend would not be set up as asked; the text is its own."""


def _pipe(undo: contextlib.ExitStack) -> tuple[int, int]:
    read, write = os.pipe()
    undo.callback(os.close, read)
    undo.callback(os.close, write)
    return read, write


def _decoded(line: bytes) -> dict[str, Any] | None:
    try:
        reply = json.loads(line)
    except ValueError:
        return None
    return reply if isinstance(reply, dict) else None


class CellProcess:
    """A process for one backend. Not started when the constructor raises; always `stop` it in the end."""

    def __init__(
        self,
        job: Mapping[str, Any],
        environ: Mapping[str, str],
        timeout: float,
        module: str = "allocmark.measuring.worker",
    ) -> None:
        """Start the process and hand it its job; the reply to it is read by `ready`. ``timeout``: seconds a reply
        may take. ``module`` is what serves, by `allocmark.measuring.serving`. Raises CellFailedError when no process
        can be had."""
        self._timeout = timeout
        self._buffer = b""
        self._crashed_in = ""
        with contextlib.ExitStack() as undo:
            try:
                self._output = undo.enter_context(tempfile.TemporaryFile())
                request_read, self._requests = _pipe(undo)
                self._replies, reply_write = _pipe(undo)
                told, report = _pipe(undo)
                with tempfile.TemporaryFile() as described:
                    described.write(json.dumps(job).encode())
                    described.seek(0)
                    inherited = described.fileno(), request_read, reply_write
                    # -P: a file in the current folder must not stand in for a module.
                    worker = [sys.executable, "-P", "-m", module, *map(str, inherited)]
                    self._process = self._started(
                        worker, report, pass_fds=(*inherited, report), env=with_tls_room({**os.environ, **environ})
                    )
                self._guard = Guard(self._process.pid, told, self._process.wait)
            except (OSError, ValueError) as error:
                raise CellFailedError(f"its process could not be started: {error}") from error
            undo.pop_all()
        os.close(request_read)
        os.close(reply_write)
        os.close(report)

    def _started(self, worker: Sequence[str], report: int, **settings: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*worker, str(os.getpid()), str(report)],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the parent: it stops cells in its own order.
            start_new_session=True,
            **settings,
        )

    def ready(self) -> dict[str, Any]:
        """Waits until the cell is populated and settled."""
        return self.receive("set-up")

    def request(self, what: str, **values: Any) -> dict[str, Any]:
        """Asks and waits for the reply. Raises CellFailedError when there is none."""
        self.send(what, **values)
        return self.receive(what)

    def send(self, what: str, **values: Any) -> None:
        """Asks, and does not wait: the reply is read by `receive`."""
        data = json.dumps({"do": what, **values}).encode() + b"\n"
        try:
            while data:
                data = data[os.write(self._requests, data) :]
        except BrokenPipeError:
            pass  # it is dead: receive says how

    def receive(self, what: str) -> dict[str, Any]:
        """The reply to what was asked. Raises CellFailedError when there is none."""
        reply = self._reply(what)
        if "crashed_in" in reply:
            self._crashed_in = f" in {reply['crashed_in']}"
            reply = self._reply(what)  # there is none
        if "error" in reply:
            raise (CellRefusedError if reply["refused"] else CellFailedError)(reply["error"])
        return reply

    def _reply(self, what: str) -> dict[str, Any]:
        reply = _decoded(self._line(what))
        if reply is None:
            self._end(0)
            raise CellFailedError(f"wrote into a file descriptor that is not its own during {what}{self._last_lines()}")
        return reply

    def _line(self, what: str) -> bytes:
        deadline = time.monotonic() + self._timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._replies, selectors.EVENT_READ)
            # The pipe does not tell that it has ended where something that it started holds the other end.
            selector.register(self._guard.life, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                ready = [key.fd for key, _ in selector.select(max(0.0, deadline - time.monotonic()))]
                if not ready:
                    self._end(0)
                    raise CellFailedError(f"hung: no answer to {what} for {self._timeout:g} s{self._last_lines()}")
                data = os.read(self._replies, 1 << 16) if self._replies in ready else b""
                if not data:
                    raise CellFailedError(self._death(what))
                self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def stop(self) -> None:
        """End the process, gently first so that it gives back what it reserved."""
        if self._requests >= 0:
            os.close(self._requests)
            self._requests = -1
        self._end(2)
        os.close(self._replies)
        self._guard.close()
        self._output.close()

    def _end(self, patience: float) -> Ending:
        """How the process ended, which is killed after ``patience`` seconds. What it started is killed."""
        if self._process.returncode is None:
            self._guard.has_ended(patience)
        return self._guard.end()

    def _death(self, what: str) -> str:
        ending = self._end(2)
        if ending.blame:
            return f"{ending.blame} during {what}{self._last_lines()}"
        if ending.code >= 0:
            return f"ended by itself during {what}, exit status {ending.code}{self._last_lines()}"
        name = signal_name(-ending.code)
        hint = " (the kernel does this when memory runs out)" if name == "SIGKILL" else ""
        return f"killed by {name}{self._crashed_in} during {what}{hint}{self._last_lines()}"

    def _last_lines(self) -> str:
        end = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, end - MOST_OUTPUT))
        lines = [" ".join(line.split()) for line in self._output.read().decode(errors="replace").splitlines()]
        said = " | ".join([line for line in lines if line][-LAST_LINES:])
        return f"; it said: {said}" if said else ""
