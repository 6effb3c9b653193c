# SPDX-License-Identifier: BSD-3-Clause
"""Says in one line what the engine found wrong: workload, step, actor and object."""

from __future__ import annotations

from typing import Any

from allocmark.engine._engine import lib
from allocmark.workload.tape.program import Program


def describe(trouble: Any, program: Program, stall_seconds: float) -> str:
    """One line for an ``am_trouble``."""
    pool = program.pools[trouble.pool]
    at = f"{program.workload}: "
    if trouble.actor >= 0:
        at += f"{program.actors[trouble.actor].name}, {program.steps[trouble.step]}: "
    other = ""
    if trouble.other_actor >= 0:
        other = f"{program.actors[trouble.other_actor].name} ({program.steps[trouble.other_step]})"
    thing = f"object {trouble.object:#x} of pool {pool.name!r}"
    signed = trouble.figure - (1 << 64) if trouble.figure >> 63 else trouble.figure
    match trouble.kind:
        case lib.AM_EXHAUSTED:
            return (
                f"{at}pool {pool.name!r} had no {trouble.figure:,} objects for {stall_seconds:g} s "
                f"({pool.objects:,} in all; the rest is held, queued or cached): give it more objects, or less cache"
            )
        case lib.AM_BLOCKED:
            return f"{at}waited {stall_seconds:g} s on a queue: the actor at its other end makes no progress"
        case lib.AM_TWICE:
            return f"{at}{thing} was handed out while {other} holds it"
        case lib.AM_OVERLAP:
            return f"{at}{thing} overlaps object {trouble.other_object:#x}, which {other} holds"
        case lib.AM_MISALIGNED:
            return f"{at}{thing} is not aligned to {pool.alignment} bytes"
        case lib.AM_OUTSIDE:
            return f"{at}{thing} lies outside the regions that the backend reports"
        case lib.AM_OVERWRITTEN:
            return f"{at}{thing} was overwritten at byte {trouble.figure} while {other} held it"
        case lib.AM_LOST:
            return f"{at}pool {pool.name!r} lost {trouble.figure:,} of its {pool.objects:,} objects"
        case lib.AM_FOREIGN:
            return (
                f"{at}{thing} is held, but was never handed out: a get of the backend wrote outside the objects that "
                "it was to fill in"
            )
        case lib.AM_NULL:
            return f"{at}pool {pool.name!r} handed out a null pointer as if the get had succeeded"
        case lib.AM_CLOSED if trouble.actor >= 0:
            return f"{at}pool {pool.name!r} let no thread enter that was to take over from one that has ended"
        case lib.AM_CLOSED:
            return f"{at}pool {pool.name!r} let no thread enter to count its objects, after all others had left"
        case lib.AM_CODE:
            return f"{at}get_bulk returned {signed}: expected 0, or a negative errno value"
        case lib.AM_BEYOND:
            return f"{at}get_bulk wrote to objects[{signed}], outside the objects that it was to fill in"
        case lib.AM_LEFT_OUT:
            return f"{at}get_bulk did not fill in objects[{signed}]"
        case lib.AM_CHANGED:
            return f"{at}put_bulk changed objects[{signed}] of the array it was given, which is const"
        case lib.AM_NOT_ZEROED:
            return f"{at}{thing} is not all zeros, though that was asked for"
        case lib.AM_NOT_KEPT:
            return f"{at}{thing} has not kept the content that it had before it was resized"
        case lib.AM_TAGGED:
            return (
                f"{at}{thing}: the allocator uses the upper byte of addresses, and there the engine notes the pool of "
                "objects that wait in a queue with those of others: expected a queue per pool"
            )
    return f"{at}unknown trouble {trouble.kind}"
