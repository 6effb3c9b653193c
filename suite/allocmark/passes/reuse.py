# SPDX-License-Identifier: BSD-3-Clause
"""How closely an allocator reuses memory: what a run in turns shows, without a clock, and the same in every run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from allocmark.engine.session import Engine
from allocmark.workload.tape.instructions import LAYOUT, Insn, Op
from allocmark.workload.tape.program import Program

WINDOW = 1000  #: objects got by one actor, over which distinct things are counted
EVENTS = 65536  #: objects got and put that are looked at
MOST_SKIPPED = 1 << 21  #: objects got before that, however many the pools have

_SHIFTS = {"pages_2m": 21, "pages_4k": 12}
_LINE = 6


class Event(NamedTuple):
    """See ``am_event``."""

    object: int
    actor: int
    pool: int
    put: int


def measure_reuse(engine: Engine, program: Program) -> dict[str, Any]:
    """Runs the workload in turns: first until as many objects were got as the pools have, so that one that hands out
    all of them in turn is seen doing so, then with the record on. Empty when that was too short for one window."""
    skip = min(MOST_SKIPPED, sum(pool.objects for pool in program.pools))
    a_unit = sum(actor.objects * actor.passes for actor in program.actors)
    units = -(-(skip + EVENTS) // a_unit)
    return figures([Event(*event) for event in engine.trace(units, skip, EVENTS)], touched(program))


def touched(program: Program) -> list[int]:
    """Bytes at the head of each pool's objects that the workload reads or writes."""
    most = [0] * len(program.pools)
    for actor in program.actors:
        for insn in (Insn(Op(op), *rest) for op, *rest in LAYOUT.iter_unpack(actor.body)):
            size = {Op.GET_READ: insn.aux, Op.GET_WRITE: insn.aux, Op.READ: insn.arg, Op.WRITE: insn.arg}.get(insn.op)
            if size is not None:
                most[insn.target] = max(most[insn.target], size)
    return most


def figures(events: Sequence[Event], touched: Sequence[int], window: int = WINDOW) -> dict[str, Any]:
    """Distinct pages, lines and objects in windows of objects got by one actor, and who puts what another got."""
    got: dict[int, list[Event]] = {}
    for event in events:
        if not event.put:
            got.setdefault(event.actor, []).append(event)
    windows = [
        _distinct(mine[start : start + window], touched)
        for mine in got.values()
        for start in range(0, len(mine) - window + 1, window)
    ]
    if not windows:
        return {}
    everything = [event for mine in got.values() for event in mine]
    return {
        "window": window,
        "gets": len(everything),
        **{name: sum(each[name] for each in windows) / len(windows) for name in windows[0]},
        "all": _distinct(everything, touched),
        "foreign_puts": _foreign(events),
    }


def _distinct(events: Iterable[Event], touched: Sequence[int]) -> dict[str, int]:
    objects = {event.object: event.pool for event in events}
    counts = {name: len({address >> shift for address in objects}) for name, shift in _SHIFTS.items()}
    lines = {
        line
        for address, pool in objects.items()
        if touched[pool]
        for line in range(address >> _LINE, ((address + touched[pool] - 1) >> _LINE) + 1)
    }
    return counts | {"lines": len(lines), "objects": len(objects)}


def _foreign(events: Iterable[Event]) -> float | None:
    """The share of objects put by another actor than the one that got them, of those seen got and put."""
    getter: dict[int, int] = {}
    puts = foreign = 0
    for event in events:
        if not event.put:
            getter[event.object] = event.actor
        elif event.object in getter:
            puts += 1
            foreign += getter[event.object] != event.actor
    return foreign / puts if puts else None


def problem(record: Mapping[str, Any]) -> str | None:
    """What is wrong with a record that was read back; None for a good one, and for an empty one."""
    if not record:
        return None
    whole = ["pages_2m", "pages_4k", "lines", "objects"]
    numbers = [record.get(name) for name in (*whole, "window", "gets")]
    every = record.get("all")
    numbers += [every.get(name) for name in whole] if isinstance(every, dict) else [None]
    if any(not isinstance(n, int | float) or isinstance(n, bool) for n in numbers):
        return "a figure is missing or is no number"
    share = record.get("foreign_puts")
    return None if share is None or isinstance(share, int | float) else "foreign_puts is no number"
