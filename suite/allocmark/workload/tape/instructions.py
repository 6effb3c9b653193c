# SPDX-License-Identifier: BSD-3-Clause
"""The tape in Python: what compile.py writes and the engine runs. Mirrors ``engine/native/tape.h``."""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

LAYOUT = struct.Struct("=HHIIHH")  #: am_insn
LOOP_DEPTH = 8  #: AM_LOOP_DEPTH
LONGEST_PERIOD = 8  #: instructions in a repeated run that `roll` looks for


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


_REPEATABLE = {Op.GET, Op.GET_READ, Op.GET_WRITE, Op.PUT_OLDEST, Op.PUT_NEWEST}
_FUSED = {Op.READ: Op.GET_READ, Op.WRITE: Op.GET_WRITE}


def _touches_all_of(get: Insn, touch: Insn) -> bool:
    """Whether one instruction of the engine does both: a single get, and a touch of just what it got."""
    alike = get.op is Op.GET and touch.op in _FUSED and (get.target, get.n) == (touch.target, touch.n)
    return alike and get.arg == 1 and touch.arg < 1 << 16


class Recorder:
    """Takes instructions one by one; an instruction that repeats at once becomes a count."""

    def __init__(self) -> None:
        self.items: list[Insn | Loop] = []

    def add(self, insn: Insn) -> None:
        """Append, folded into the instruction before it where the engine has one for both."""
        last = self.items[-1] if self.items else None
        if isinstance(last, Insn) and _touches_all_of(last, insn):
            self.items.pop()
            self.add(last._replace(op=_FUSED[insn.op], aux=insn.arg))
            return
        if isinstance(last, Insn) and insn.op in _REPEATABLE and last._replace(arg=insn.arg) == insn:
            self.items[-1] = last._replace(arg=last.arg + insn.arg)
            return
        self.items.append(insn)


def roll(items: Sequence[Insn | Loop], depth: int = LOOP_DEPTH) -> list[Insn | Loop]:
    """The same instructions with repeated runs folded into loops, shortest period first, at most ``depth`` deep."""
    current = list(items)
    for _ in range(depth):
        for period in range(1, LONGEST_PERIOD + 1):
            folded = _fold(current, period)
            if len(folded) < len(current):
                current = folded
                break
        else:
            break
    return current


def _fold(items: list[Insn | Loop], period: int) -> list[Insn | Loop]:
    out: list[Insn | Loop] = []
    at = 0
    while at < len(items):
        body = items[at : at + period]
        times = 1
        while items[at + times * period : at + (times + 1) * period] == body:
            times += 1
        # A loop costs two instructions of its own: fold only what gets shorter.
        if times * period > period + 2:
            out.append(Loop(times, tuple(body)))
            at += times * period
        else:
            out.append(items[at])
            at += 1
    return out


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
