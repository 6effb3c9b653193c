# SPDX-License-Identifier: BSD-3-Clause
"""An engine over addresses that a backend handed out, without the backend."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

from allocmark.engine._engine import ffi, lib
from allocmark.engine.session import EVENT, Engine
from allocmark.errors import RefusedError
from allocmark.system.mappings import Range, backing
from allocmark.workload.tape.instructions import GETS, LAYOUT, Insn, Op
from allocmark.workload.tape.program import Program

SHARE = 0.05  #: of what is resident: page kinds with less are not named
_KINDS = {"base": lib.AM_BASE, "thp": lib.AM_THP, "hugetlb": lib.AM_HUGETLB}
_BLOCK = 1 << 21


class Replay(Engine):
    """Hands out recorded objects in the same order to the same actors; put does nothing.

    They lie in the *mirror*, which is memory of its own, laid out like the backend's: a backend may keep links in
    objects that were put back. ``distinct`` counts them, ``pages`` are the kinds of pages that the kernel reports
    under it, and ``note`` says why they are not those of the pools ("" when they are).
    """

    def __init__(
        self,
        events: Any,
        regions: Sequence[Sequence[tuple[int, int]]],
        program: Program,
        cpus: Sequence[tuple[int, int]],
        **options: Any,
    ) -> None:
        """``events`` is a buffer of ``am_event``; ``regions`` has for each pool those that the backend reports."""
        if unknown := _only_held(program):
            raise RefusedError(unknown)
        ranges = [_ranges(found) or _blocks(events, pool) for pool, found in enumerate(regions)]
        wanted = [(_kinds(each) or ["base"])[0] for each in ranges]
        error = ffi.new("allocmark_error *")
        names = [ffi.new("char[]", pool.name.encode()) for pool in program.pools]
        mirror = lib.am_replay_new(
            ffi.cast("am_event *", ffi.from_buffer(events)),
            len(events) // EVENT.size,
            names,
            [pool.object_size for pool in program.pools],
            [_KINDS[kind] for kind in wanted],
            len(program.pools),
            len(program.actors),
            error,
        )
        told = ffi.string(error.message).decode(errors="replace")
        if mirror == ffi.NULL:
            raise RefusedError(told)
        undo = weakref.finalize(self, lib.am_replay_free, mirror)
        try:
            super().__init__(int(ffi.cast("uintptr_t", lib.am_replay_table(mirror))), {}, program, cpus, **options)
        except BaseException:
            undo()
            raise
        undo.detach()
        self._undo = weakref.finalize(self, _give_back, self._engine, mirror)
        self.distinct = int(lib.am_replay_objects(mirror))
        found = _kinds(_ranges(self.regions(0)))
        self.pages = ", ".join(found) or "unknown"
        self.note = ""
        asked = {kind for kind, each in zip(wanted, ranges, strict=True) if each}
        if set(found) != asked:
            self.note = f"the objects were laid out again on {self.pages} pages, and the backend's lie on "
            self.note += ", ".join(sorted(asked)) + (f": {told}" if told else "")

    def close(self) -> None:
        """End threads and give the mirror back. Nothing has to be drained."""
        self._engine = ffi.NULL
        self._undo()


def _give_back(engine: Any, mirror: Any) -> None:
    lib.am_engine_free(engine)
    lib.am_replay_free(mirror)


def _only_held(program: Program) -> str:
    """What of the workload cannot be replayed because it comes only from before the samples, or ""."""
    for actor in program.actors:
        before, during = (_got_from(tape) for tape in (actor.prologue, actor.body))
        for pool in before - during:
            return f"{actor.name} gets from pool {program.pools[pool].name!r} only before the samples: none is recorded"
    return ""


def _got_from(tape: bytes) -> set[int]:
    insns = [Insn(Op(op), *rest) for op, *rest in LAYOUT.iter_unpack(tape)]
    return {insn.target for insn in insns if insn.op in GETS} | {insn.aux for insn in insns if insn.op is Op.RESIZE}


def _ranges(regions: Sequence[tuple[int, int]]) -> list[Range]:
    return [(address, address + length) for address, length in regions]


def _blocks(events: Any, pool: int) -> list[Range]:
    """The blocks of 2 MB in which objects of the pool lie: for backends that report no regions."""
    blocks = {object_ // _BLOCK for object_, _, of, _ in EVENT.iter_unpack(events) if of == pool}
    return [(block * _BLOCK, (block + 1) * _BLOCK) for block in blocks]


def _kinds(ranges: Iterable[Range]) -> list[str]:
    """The page kinds under the ranges, the commonest first; none when nothing is resident, or it is not known."""
    found = backing(os.getpid(), ranges)
    if isinstance(found, str):
        return []
    resident = {"hugetlb": found.hugetlb, "thp": found.thp, "base": found.base}
    named = [kind for kind in resident if resident[kind] > SHARE * found.resident]
    return sorted(named, key=lambda kind: -resident[kind])
