# SPDX-License-Identifier: BSD-3-Clause
"""Which plugins there are and what they bring, each asked in a process of its own.

A plugin is foreign code: at import it may print, exit, hang, crash, or change its process's environment, working
directory and limits. So the process that plans a run imports none. It starts this module, which imports none either,
but splits off a process for each, and reads what the plugin brought there. A plugin that ends its process, or takes
longer than `SECONDS`, is listed as not used, with what happened. The process of a cell later imports the one plugin
that it measures.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from allocmark import installed
from allocmark.engine.guard import Guard, guarded, signal_name
from allocmark.errors import AllocmarkError
from allocmark.plugins import BrokenPlugin, Entry, Find, Host, Registered
from allocmark.probes import Probe
from allocmark.system.loading import with_tls_room

SECONDS = 20.0  #: that a plugin may take to be imported and to answer its hooks


def discover(prefix: str = "") -> Host:
    """The host's own plugin and every installed one, as `installed.load` finds them; nothing is imported here.

    A ``table`` is an address in a process that is gone, and a probe cannot be called: this is for planning and listing.
    With ``prefix`` only what is installed in that folder counts.
    """
    read, write = os.pipe()
    with open(read, "rb") as answer:
        try:
            process = subprocess.Popen(
                # -P: a file in the current folder must not stand in for a module.
                [sys.executable, "-P", "-m", "allocmark.discovery", str(write), prefix, str(SECONDS)],
                pass_fds=(write,),
                stdin=subprocess.DEVNULL,
                # What a plugin prints is for people: standard output is the command's own.
                stdout=_standard_error(),
                start_new_session=True,
                env=with_tls_room(os.environ),
            )
        finally:
            os.close(write)
        try:
            data = answer.read()
        finally:
            process.kill()
            process.wait()
    try:
        host = msgspec.json.decode(data, type=_Found).host()
    except msgspec.MsgspecError as error:
        raise AllocmarkError("the process that asks the plugins ended before it answered") from error
    host.backends = [replace(registered, prefix=prefix) for registered in host.backends]
    return host


def _standard_error() -> int:
    try:
        os.fstat(2)
    except OSError:
        return subprocess.DEVNULL
    return 2


@dataclass
class _Found:
    """What plugins brought, as JSON can hold it."""

    backends: list[Registered]
    probes: list[tuple[dict[str, str], Entry]]
    workload_dirs: list[str]
    broken: list[BrokenPlugin]

    @classmethod
    def of(cls, host: Host) -> _Found:
        probes = [({k: v for k, v in vars(probe).items() if k != "measure"}, entry) for probe, entry in host.probes]
        # Functions stay here: they are called in the process of a cell.
        backends = [
            replace(each, prefix="", backend=replace(each.backend, facts=None, load=None)) for each in host.backends
        ]
        # A path may hold any bytes, a text in JSON may not.
        return cls(
            backends, probes, [os.fsencode(folder).decode("latin-1") for folder in host.workload_dirs], host.broken
        )

    def host(self) -> Host:
        """The same again, with probes that cannot be called."""
        probes = [(Probe(**each, measure=_uncallable), entry) for each, entry in self.probes]
        folders = [Path(os.fsdecode(folder.encode("latin-1"))) for folder in self.workload_dirs]
        return Host(self.backends, probes, folders, self.broken)


def _uncallable(_: object) -> Mapping[str, Any]:
    raise AssertionError("a probe is called in the process of a cell")


def _encoded(host: Host) -> bytes:
    return msgspec.json.encode(_Found.of(host), enc_hook=dict) + b"\n"  # a read-only mapping becomes a plain one


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _bring(descriptor: int, parent: int, report: int, entry: Entry, find: Find) -> None:
    """What the process of one plugin does; it ends here."""
    try:
        os.setsid()
        guarded(parent, report)
        found = find()
        try:
            data = _encoded(found)
        except (TypeError, ValueError, OverflowError) as error:
            data = _encoded(_broken(entry, f"hands over what cannot be passed on: {error}"))
        _write(descriptor, data)
        sys.stdout.flush()
    finally:
        # Threads and exit handlers that a plugin left are not waited for.
        os._exit(1)


def _apart(channel: int, seconds: float, entry: Entry, find: Find) -> Host:
    """What a plugin brings, found in a process of its own."""
    read, write = os.pipe()
    told, report = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if not child:
        os.close(channel)
        _bring(write, parent, report, entry, find)
    os.close(write)
    os.close(report)
    guard = Guard(child, told, lambda: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    try:
        if line := _line(read, guard.life, seconds):
            return msgspec.json.decode(line, type=_Found).host()
        cause = _death(guard, seconds)
    except TimeoutError:
        cause = f"did not answer within {seconds:g} s: look at what it does when it is imported and in its hooks"
    except msgspec.MsgspecError:
        cause = "wrote into a file descriptor that is not its own"
    finally:
        os.close(read)
        guard.end()
        guard.close()
    return _broken(entry, cause)


def _broken(entry: Entry, cause: str) -> Host:
    return Host(broken=[BrokenPlugin(entry.plugin, entry.distribution, cause)])


def _line(descriptor: int, life: int, seconds: float) -> bytes:
    """The first line, also where something keeps the other end open; empty when the process ends without one."""
    data = b""
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for each in (descriptor, life):
            selector.register(each, selectors.EVENT_READ)
        while b"\n" not in data:
            ready = [key.fd for key, _ in selector.select(max(0.0, deadline - time.monotonic()))]
            if not ready:
                raise TimeoutError
            more = os.read(descriptor, 1 << 16) if descriptor in ready else b""
            if not more:
                return b""
            data += more
    return data.partition(b"\n")[0]


def _death(guard: Guard, seconds: float) -> str:
    if not guard.has_ended(seconds):
        return "closed a file descriptor that is not its own"
    ending = guard.end()
    if ending.blame:
        return ending.blame
    if ending.code >= 0:
        return f"ended the process that imported it, with exit status {ending.code}"
    return f"crashed the process that imported it: {signal_name(-ending.code)}"


def _main() -> None:
    descriptor, prefix, seconds = sys.argv[1:]
    channel = int(descriptor)
    _write(channel, _encoded(installed.load(prefix=prefix, around=partial(_apart, channel, float(seconds)))))


if __name__ == "__main__":
    _main()
