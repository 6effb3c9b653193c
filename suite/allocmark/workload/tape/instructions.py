# SPDX-License-Identifier: BSD-3-Clause
"""The tape in Python: what compile.py writes and the engine runs. Mirrors ``engine/native/tape.h``."""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable, Sequence
from itertools import count, islice
from operator import eq
from typing import NamedTuple

LAYOUT = struct.Struct("=HHIIHH")  #: am_insn
INDEX_SIZE = 4  #: bytes of one of am_actor.indices
LOOP_DEPTH = 8  #: AM_LOOP_DEPTH
LONGEST_PERIOD = 8  #: instructions in a repeated run that `roll` looks for
MOST_COUNT = 2**32 - 1  #: in a field of an instruction


class Op(enum.IntEnum):
    """See ``am_op``."""

    GET = 0
    GET_READ = 1
    GET_WRITE = 2
    READ = 3
    WRITE = 4
    PUT_OLDEST = 5
    PUT_NEWEST = 6
    PUT_RANDOM = 7
    SEND = 8
    RECEIVE = 9
    IDLE = 10
    LOOP = 11
    END = 12
    HALT = 13
    GET_SIZED = 14
    TOUCH_AT = 15
    RESIZE = 16
    MIXED_GET = 17
    MIXED_READ = 18
    MIXED_WRITE = 19
    MIXED_PUT_OLDEST = 20
    MIXED_PUT_NEWEST = 21
    MIXED_PUT_RANDOM = 22
    MIXED_SEND = 23
    MIXED_RECEIVE = 24
    PUT_ALL = 25


class Insn(NamedTuple):
    """See ``am_insn``."""

    op: Op
    target: int = 0
    n: int = 0
    arg: int = 0
    aux: int = 0
    step: int = 0


class Loop(NamedTuple):
    """A run of instructions that repeats."""

    times: int
    body: tuple[Insn | Loop, ...]


Items = list[Insn | Loop]

GETS = {Op.GET, Op.GET_READ, Op.GET_WRITE, Op.GET_SIZED, Op.MIXED_GET}  #: `target` is the pool, `n` the objects

REPEATABLE = {  #: `arg` is how often
    Op.GET,
    Op.GET_READ,
    Op.GET_WRITE,
    Op.PUT_OLDEST,
    Op.PUT_NEWEST,
    Op.MIXED_PUT_OLDEST,
    Op.MIXED_PUT_NEWEST,
}
_FUSED = {Op.READ: Op.GET_READ, Op.WRITE: Op.GET_WRITE}


#: Makes an `Insn` of a tuple: of some workloads half a million are made, and `Insn()` takes twice as long.
new_tuple = tuple.__new__


def _touches_all_of(get: Insn, touch: Insn) -> bool:
    """Whether one instruction of the engine does both: a single get, and a touch of just what it got."""
    alike = get[0] is Op.GET and get[1] == touch[1] and get[2] == touch[2]
    return alike and get[3] == 1 and touch[3] < 1 << 16


def _differ_in_count(one: Insn, other: Insn) -> bool:
    alike = one[1] == other[1] and one[2] == other[2] and one[4] == other[4] and one[5] == other[5]
    return alike and one[3] + other[3] <= MOST_COUNT


class Recorder:
    """Takes instructions one by one; an instruction that repeats at once becomes a count."""

    def __init__(self) -> None:
        self.items: Items = []
        self.size = 0  #: instructions with the loops unrolled

    def add(self, insn: Insn) -> None:
        """Append, folded into the instruction before it where the engine has one for both."""
        items, op = self.items, insn[0]
        last = items[-1] if items else None
        if op in _FUSED and type(last) is Insn and _touches_all_of(last, insn):
            del items[-1]
            self.size -= 1
            op = _FUSED[op]
            insn = new_tuple(Insn, (op, insn[1], insn[2], 1, insn[3], last[5]))
            last = items[-1] if items else None
        # Most differ in the kind already.
        if type(last) is Insn and last[0] is op and op in REPEATABLE and _differ_in_count(last, insn):
            items[-1] = new_tuple(Insn, (op, insn[1], insn[2], last[3] + insn[3], insn[4], insn[5]))
        else:
            items.append(insn)
            self.size += 1

    def repeat(self, part: Recorder, times: int) -> None:
        """Append what was recorded apart, as often: as a loop, where that is shorter and not nested too deep."""
        items, nested = part.items, depth(part.items)
        if len(items) == 1 and isinstance(items[0], Insn) and items[0].op in REPEATABLE:
            most = MOST_COUNT // items[0].arg
            for part_times in (*[most] * (times // most), times % most):
                if part_times:
                    self.add(items[0]._replace(arg=items[0].arg * part_times))
        elif times * len(items) > len(items) + 2 and nested < LOOP_DEPTH:
            self.items.append(Loop(times, tuple(items)))
            self.size += times * part.size
        else:
            for _ in range(times):
                begin = 0
                if items and isinstance(items[0], Insn):  # only the first can be folded into what is there
                    self.add(items[0])
                    begin = 1
                self.items += items[begin:]
                self.size += part.size - begin


def depth(items: Sequence[Insn | Loop]) -> int:
    """How deep loops are nested."""
    return max((1 + depth(item.body) for item in items if isinstance(item, Loop)), default=0)


def roll(items: Sequence[Insn | Loop]) -> Items:
    """The same instructions with repeated runs folded into loops, shortest period first."""
    current = list(items)
    for _ in range(LOOP_DEPTH - depth(current)):
        first: dict[Insn | Loop, int] = {}
        named = list(map(first.setdefault, current, count()))  # numbers are compared faster
        for period in range(1, LONGEST_PERIOD + 1):
            folded = _fold(current, named, period)
            if len(folded) < len(current):
                current = folded
                break
        else:
            break
    return current


def _fold(items: Items, named: Sequence[int], period: int) -> Items:
    # 1 where the instruction is the same a period later. A loop costs two instructions of its own: fold only what gets
    # shorter, which takes so many in a row.
    same = bytes(map(eq, named, islice(named, period, None)))
    least = b"\1" * (period * ((period + 2) // period))
    out: Items = []
    at = 0
    while (begin := same.find(least, at)) >= 0:
        out += items[at:begin]
        end = same.find(0, begin)
        times = ((len(same) if end < 0 else end) - begin) // period + 1
        out.append(Loop(times, tuple(items[begin : begin + period])))
        at = begin + times * period
    return out + items[at:]


def assemble(items: Iterable[Insn | Loop]) -> bytes:
    """The tape as the engine reads it, AM_HALT included."""
    flat: list[Insn] = []
    _flatten(items, flat)
    flat.append(Insn(Op.HALT))
    return b"".join(LAYOUT.pack(*insn) for insn in flat)


def _flatten(items: Iterable[Insn | Loop], flat: list[Insn]) -> None:
    for item in items:
        if isinstance(item, Insn):
            flat.append(item)
            continue
        flat.append(Insn(Op.LOOP, arg=item.times))
        first = len(flat)
        _flatten(item.body, flat)
        flat.append(Insn(Op.END, arg=first))
