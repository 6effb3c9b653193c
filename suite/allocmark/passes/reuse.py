# SPDX-License-Identifier: BSD-3-Clause
"""How closely an allocator reuses memory: counted while the actors take turns, so the same in every run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from allocmark.passes.base import Figures, PassColumn, Reply, Sampler, TablePass

if TYPE_CHECKING:
    from allocmark.engine.session import Engine
    from allocmark.workload.tape.program import Program

WINDOW = 1000  #: objects got by one actor, over which distinct things are counted
EVENTS = 65536  #: gets and puts that are looked at
MOST_SKIPPED = 1 << 21  #: objects got before that, however many the pools have

_SHIFTS = {"pages_2m": 21, "pages_4k": 12}
_LINE = 6


class Event(NamedTuple):
    """See ``am_event``."""

    object: int
    actor: int
    pool: int
    put: int


@dataclass(frozen=True)
class Places(Figures):
    """Distinct addresses of pages, cache lines of the bytes that the workload touches, and objects."""

    pages_2m: int | float
    pages_4k: int | float
    lines: int | float
    objects: int | float


@dataclass(frozen=True)
class Reuse(Places):
    """Means over windows of ``window`` objects got by one actor; ``all``: of all ``gets`` that were looked at.

    ``foreign_puts`` is the share of objects put by another actor than the one that got them; None when none was put.
    """

    window: int
    gets: int
    all: Places
    foreign_puts: float | None


def _column(
    head: str, name: str, write: str, csv: str = "", of: Callable[[Reuse], Places] = lambda record: record
) -> PassColumn[Reuse]:
    return PassColumn(head, lambda record: getattr(of(record), name), write.format, csv=csv)


class ReusePass(TablePass[Reuse]):
    """Once, before anything that depends on the clock."""

    name = "reuse"
    help = "do not count the pages, cache lines and objects that are reused"
    timed = False
    most_rounds = 1
    record = Reuse
    title = "memory reused, distinct per 1,000 objects got by one actor"
    columns = (
        _column("2 MB pages", "pages_2m", "{:.1f}", "reuse_pages_2m"),
        _column("4 KB pages", "pages_4k", "{:.0f}", "reuse_pages_4k"),
        _column("lines", "lines", "{:.0f}", "reuse_lines"),
        _column("objects", "objects", "{:.0f}", "reuse_objects"),
        _column("2 MB in all", "pages_2m", "{:,.0f}", of=lambda record: record.all),
        _column("objects in all", "objects", "{:,.0f}", of=lambda record: record.all),
        _column("foreign puts", "foreign_puts", "{:.0%}"),
    )
    spare = ("foreign puts", "objects in all", "2 MB in all", "objects", "lines")

    def start(self, engine: Engine, program: Program, cpus: Sequence[tuple[int, int]]) -> Sampler:
        return lambda units: counted(engine, program)

    def merge(self, replies: Mapping[int, Reply], kept: Collection[int]) -> dict[str, Any]:
        return {"reuse": replies[0]} if replies.get(0) else {}

    def note(self, records: Sequence[Reuse]) -> str:
        gets = min(record.gets for record in records)
        return (
            f"Counted, not timed: the same in each run. In all: over {gets:,} objects got or more. lines: cache lines "
            "of the bytes that the workload touches. foreign puts: by another actor than the one that got the object."
        )

    def facts(self, record: Reuse) -> dict[str, float]:
        names = {"2 MB pages": "pages_2m", "4 KB pages": "pages_4k", "cache lines": "lines", "objects": "objects"}
        return {f"{what} in 1,000 gets": getattr(record, name) for what, name in names.items()}


def counted(engine: Engine, program: Program) -> dict[str, Any]:
    """Runs the workload in turns and counts; empty when that is too short for one window.

    First as many objects are got as the pools have: a pool that hands out all of them in turn is then seen doing so.
    """
    skip = min(MOST_SKIPPED, sum(pool.objects for pool in program.pools))
    per_unit = sum(actor.objects * actor.iterations for actor in program.actors)
    units = -(-(skip + EVENTS) // per_unit)
    return figures(engine.trace(units, skip, EVENTS), program.touched)


def figures(
    events: Sequence[tuple[int, int, int, int]], touched: Sequence[int], window: int = WINDOW
) -> dict[str, Any]:
    """The members of a `Reuse`, of events as `Event` has them; ``touched`` are the bytes at the head of each pool's
    objects that are used."""
    got: dict[int, list[tuple[int, int]]] = {}
    for address, actor, pool, put in events:
        if not put:
            got.setdefault(actor, []).append((address, pool))
    windows = [
        _distinct(mine[start : start + window], touched)
        for mine in got.values()
        for start in range(0, len(mine) - window + 1, window)
    ]
    if not windows:
        return {}
    everything = [each for mine in got.values() for each in mine]
    return {
        "window": window,
        "gets": len(everything),
        **{name: sum(each[name] for each in windows) / len(windows) for name in windows[0]},
        "all": _distinct(everything, touched),
        "foreign_puts": _foreign(events),
    }


def _distinct(objects: Iterable[tuple[int, int]], touched: Sequence[int]) -> dict[str, int]:
    pools = dict(objects)
    counts = {name: len({address >> shift for address in pools}) for name, shift in _SHIFTS.items()}
    return counts | {"lines": _lines(pools, touched), "objects": len(pools)}


def _lines(pools: Mapping[int, int], touched: Sequence[int]) -> int:
    """Without a look at each, of which a large object has many: the next object begins behind the last line, or in
    it."""
    lines, end = 0, 0  # the first line behind those that are counted
    for address in sorted(pools):
        if used := touched[pools[address]]:
            behind = ((address + used - 1) >> _LINE) + 1
            if behind > end:
                lines += behind - max(address >> _LINE, end)
                end = behind
    return lines


def _foreign(events: Iterable[tuple[int, int, int, int]]) -> float | None:
    getter: dict[int, int] = {}
    puts = foreign = 0
    for address, actor, _, put in events:
        if not put:
            getter[address] = actor
        elif address in getter:
            puts += 1
            foreign += getter[address] != actor
    return foreign / puts if puts else None
