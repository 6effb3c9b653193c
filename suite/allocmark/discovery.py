# SPDX-License-Identifier: BSD-3-Clause
"""Which plugins there are and what they bring, asked in a process of their own.

A plugin is foreign code: at import it may print, exit, hang, crash, or change its process's environment, working
directory and limits. So the process that plans a run imports none. It starts this module, which loads every plugin
and writes what each brought, and reads that. A plugin that ends this process, or takes longer than `SECONDS`, is
listed as not used, with what happened, and the others are asked again without it. The process of a cell later imports
the one plugin that it measures.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from allocmark import plugins
from allocmark.errors import AllocmarkError
from allocmark.plugins import BrokenPlugin, Host, Registered
from allocmark.probes import Probe
from allocmark.system.loading import with_tls_room

SECONDS = 20.0  #: that a plugin may take to be imported and to answer its hooks


def discover(prefix: str = "") -> Host:
    """The host's own plugin and every installed one, as `allocmark.plugins.load` finds them; nothing is imported here.

    A ``table`` is an address in a process that is gone, and a probe cannot be called: this is for planning and listing.
    With ``prefix`` only what is installed in that folder counts.
    """
    lost: dict[int, BrokenPlugin] = {}
    while True:
        asking = _Asking(prefix, sorted(lost))
        try:
            answer = asking.answer()
        except _LostError as loss:
            lost[loss.begun.index] = BrokenPlugin(loss.begun.plugin, loss.begun.distribution, str(loss))
            continue
        return Host(
            backends=answer.backends,
            probes=[(Probe(**each, measure=_uncallable), plugin) for each, plugin in answer.probes],
            workload_dirs=[Path(folder) for folder in answer.workload_dirs],
            broken=[*answer.broken, *lost.values()],
        )


def _standard_error() -> int:
    try:
        os.fstat(2)
    except OSError:
        return subprocess.DEVNULL
    return 2


@dataclass
class _Answer:
    """What plugins brought, as JSON can hold it."""

    backends: list[Registered]
    probes: list[tuple[dict[str, str], str]]
    workload_dirs: list[str]
    broken: list[BrokenPlugin]


@dataclass
class _Begun:
    """The plugin whose import begins."""

    index: int
    plugin: str
    distribution: str


class _LostError(Exception):
    """What the plugin of that index did to the process, for `BrokenPlugin.cause`."""

    def __init__(self, begun: _Begun, cause: str) -> None:
        super().__init__(cause)
        self.begun = begun


class _Asking:
    """One process that is asked."""

    def __init__(self, prefix: str, skipped: list[int]) -> None:
        self._read, write = os.pipe()
        try:
            self._process = subprocess.Popen(
                # -P: a file in the current folder must not stand in for a module.
                [sys.executable, "-P", "-m", "allocmark.discovery", str(write), prefix, json.dumps(skipped)],
                pass_fds=(write,),
                stdin=subprocess.DEVNULL,
                # What a plugin prints is for people: standard output is the command's own.
                stdout=_standard_error(),
                start_new_session=True,
                env=with_tls_room(os.environ),
            )
        finally:
            os.close(write)

    def answer(self) -> _Answer:
        """Its answer. Raises _LostError when a plugin prevents it."""
        begun = _Begun(-1, plugins.BUILTIN, plugins.BUILTIN)
        try:
            for line in self._lines():
                if line.startswith(b'{"index"'):
                    begun = msgspec.json.decode(line, type=_Begun)
                else:
                    return msgspec.json.decode(line, type=_Answer)
            cause = self._death()
        except TimeoutError:
            cause = f"did not answer within {SECONDS:g} s: look at what it does when it is imported and in its hooks"
        except msgspec.MsgspecError:
            cause = "wrote into a file descriptor that is not its own"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            os.close(self._read)
        if begun.index < 0:
            raise AllocmarkError(f"the process that asks the plugins did not work: it {cause}")
        raise _LostError(begun, cause)

    def _lines(self) -> Iterator[bytes]:
        buffer = b""
        deadline = time.monotonic() + SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self._read, selectors.EVENT_READ)
            while True:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise TimeoutError
                data = os.read(self._read, 1 << 16)
                if not data:
                    return
                *lines, buffer = (buffer + data).split(b"\n")
                if lines:
                    deadline = time.monotonic() + SECONDS
                yield from lines

    def _death(self) -> str:
        try:
            code = self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            return "closed a file descriptor that is not its own"
        if code >= 0:
            return f"ended the process that imported it, with exit status {code}"
        with contextlib.suppress(ValueError):
            return f"crashed the process that imported it: {signal.Signals(-code).name}"
        return f"crashed the process that imported it: signal {-code}"


def _uncallable(_: object) -> Mapping[str, Any]:
    raise AssertionError("a probe is called in the process of a cell")


def _main() -> None:
    descriptor, prefix, skipped = sys.argv[1:]
    channel = int(descriptor)

    def tell(record: _Begun | _Answer) -> None:
        data = msgspec.json.encode(record, enc_hook=dict) + b"\n"  # a read-only mapping becomes a plain one
        while data:
            data = data[os.write(channel, data) :]

    def begin(index: int, plugin: str, distribution: str) -> None:
        # Should whoever asked be killed, a plugin that never returns ends with it.
        signal.alarm(int(2 * SECONDS))
        tell(_Begun(index, plugin, distribution))

    host = plugins.load(prefix=prefix, skipped=json.loads(skipped), begin=begin)
    # Functions stay here: they are called in the process of a cell.
    backends = [replace(each, backend=replace(each.backend, facts=None)) for each in host.backends]
    probes = [({k: v for k, v in vars(probe).items() if k != "measure"}, plugin) for probe, plugin in host.probes]
    tell(_Answer(backends, probes, [str(folder) for folder in host.workload_dirs], host.broken))
    # Threads and exit handlers that a plugin left are not waited for.
    os._exit(0)


if __name__ == "__main__":
    _main()
