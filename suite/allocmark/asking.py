# SPDX-License-Identifier: BSD-3-Clause
"""The process that `allocmark.discovery` starts: it asks each plugin what it brings, and imports none itself."""

from __future__ import annotations

import os
import selectors
import sys
import time
from functools import partial

import msgspec

# What plugins use is imported once here, and not in the process of each.
import allocmark.malloc_library
import allocmark.native_module
import allocmark.system.availability
import allocmark.system.elf  # noqa: F401
from allocmark import installed
from allocmark.discovery import Found
from allocmark.engine.guard import Guard, guarded, signal_name
from allocmark.plugins import BrokenPlugin, Entry, Find, Host

_DECODER = msgspec.json.Decoder(Found)


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
            data = Found.of(found).encoded()
        except (TypeError, ValueError, OverflowError) as error:
            data = Found.of(_broken(entry, f"hands over what cannot be passed on: {error}")).encoded()
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
            return _DECODER.decode(line).host()
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
    host = installed.load(prefix=prefix, around=partial(_apart, channel, float(seconds)))
    _write(channel, Found.of(host).encoded())


if __name__ == "__main__":
    _main()
