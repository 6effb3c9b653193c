# SPDX-License-Identifier: BSD-3-Clause
"""Backends that are the same but for what is planted: twins of one that is installed, or of a library that was built.

They come in a plugin of their own, in a folder, as the backends of a commit do for a gate.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from allocmark.backend import Backend
from allocmark.discovery import discover
from allocmark.engine import twin
from allocmark.errors import AllocmarkError
from allocmark.plugins import BUILTIN, Entry, Host, Registered, load_entries

NAME = "twin"

_PLUGIN = '''\
"""Twins of a backend."""
import allocmark
from allocmark.validate.twins import installed

@allocmark.hookimpl
def allocmark_backends():
    return installed(__file__)
'''


@dataclass(frozen=True)
class Twin:
    """``twin:VARIANT``: that of the backend ``label``, which the plugin at ``entry`` brings, or, where
    ``library`` is not "", of the table that the function ``label`` of this shared object returns. ``planted``: see
    ``am_twin_table``."""

    variant: str
    label: str
    entry: Entry | None = None
    library: str = ""
    planted: int = 0

    @classmethod
    def of(cls, registered: Registered, variant: str, planted: int = 0) -> Twin:
        """That of an installed backend."""
        return cls(variant, registered.backend.label, registered.entry, planted=planted)

    @property
    def name(self) -> str:
        """As the command line takes it."""
        return f"{NAME}:{self.variant}"


def host_of(twins: Sequence[Twin], folder: Path) -> Host:
    """What is found when they are installed in ``folder``, which is made."""
    information = folder / "allocmark_twins-1.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: allocmark-twins\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[allocmark]\ntwins = allocmark_twins\n")
    (folder / "allocmark_twins.py").write_text(_PLUGIN)
    (folder / "twins.json").write_bytes(msgspec.json.encode(twins))
    host = discover(prefix=str(folder))
    for broken in host.broken:
        raise AllocmarkError(f"no twins of {twins[0].label} can be made: their plugin {broken.cause}")
    # No floor: nothing is subtracted from twins, and each process takes time.
    return replace(host, backends=[registered for registered in host.backends if not registered.backend.floor])


def installed(file: str) -> list[Backend]:
    """Called by the plugin whose module is ``file``: its backends."""
    twins = msgspec.json.decode(Path(file).with_name("twins.json").read_bytes(), type=list[Twin])
    wanted = {each.entry for each in twins if each.entry} - {BUILTIN}
    originals = {r.backend.label: r.backend for r in load_entries(sorted(wanted)).backends}
    return [_twin(each, _built(each) if each.library else originals[each.label]) for each in twins]


def _built(wanted: Twin) -> Backend:
    function = getattr(ctypes.CDLL(wanted.library), wanted.label)
    function.restype = ctypes.c_void_p
    return Backend(NAME, wanted.variant, f"{wanted.label} of {wanted.library}", version="", table=function())


def _twin(wanted: Twin, original: Backend) -> Backend:
    original = original.loaded()
    named = replace(original, name=NAME, variant=wanted.variant, default=False)
    if original.table is None:
        return named
    table, options = twin(original.table)
    return replace(named, table=table, options={**original.options, **options, "twin.planted": str(wanted.planted)})
