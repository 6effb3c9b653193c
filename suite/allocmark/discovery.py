# SPDX-License-Identifier: BSD-3-Clause
"""Which plugins there are and what they bring, each asked in a process of its own.

A plugin is foreign code: at import it may print, exit, hang, crash, or change its process's environment, working
directory and limits. So the process that plans a run imports none. It starts `allocmark.asking`, which imports none
either, but splits off a process for each, and reads what the plugin brought there. A plugin that ends its process, or
takes longer than `SECONDS`, is listed as not used, with what happened. The process of a cell later imports the one
plugin that it measures.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from allocmark.errors import AllocmarkError
from allocmark.plugins import BrokenPlugin, Entry, Host, Registered
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
                [sys.executable, "-P", "-m", "allocmark.asking", str(write), prefix, str(SECONDS)],
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
        host = msgspec.json.decode(data, type=Found).host()
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
class Found:
    """What plugins brought, as JSON can hold it."""

    backends: list[Registered]
    probes: list[tuple[dict[str, str], Entry]]
    workload_dirs: list[str]
    broken: list[BrokenPlugin]

    @classmethod
    def of(cls, host: Host) -> Found:
        probes = [({k: v for k, v in vars(probe).items() if k != "measure"}, entry) for probe, entry in host.probes]
        # Functions stay here: they are called in the process of a cell.
        backends = [
            replace(each, prefix="", backend=replace(each.backend, facts=None, load=None)) for each in host.backends
        ]
        # A path may hold any bytes, a text in JSON may not.
        return cls(
            backends, probes, [os.fsencode(folder).decode("latin-1") for folder in host.workload_dirs], host.broken
        )

    def encoded(self) -> bytes:
        """One line of JSON."""
        return msgspec.json.encode(self, enc_hook=dict) + b"\n"  # a read-only mapping becomes a plain one

    def host(self) -> Host:
        """The same again, with probes that cannot be called."""
        probes = [(Probe(**each, measure=_uncallable), entry) for each, entry in self.probes]
        folders = [Path(os.fsdecode(folder.encode("latin-1"))) for folder in self.workload_dirs]
        return Host(self.backends, probes, folders, self.broken)


def _uncallable(_: object) -> Mapping[str, Any]:
    raise AssertionError("a probe is called in the process of a cell")
