# SPDX-License-Identifier: BSD-3-Clause
"""What the functions of a compiled file consist of: loads, stores, branches, and what a fast path must not have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from native_programs import run

#: never on a fast path, whatever the compiler
FORBIDDEN = ("locked", "call", "thread-local")

X86_LOCKED = re.compile(r"lock\b|[lms]fence|xchg.*\(")
X86_READS_ONLY = re.compile(r"(cmp|test|bt|ucomis|comis|push)")
X86_WRITES_ONLY = re.compile(r"(mov|set|pop|st)")
ARM_LOCKED = re.compile(r"(ld|st)l?a?x[rp]|cas|swp|ld(add|clr|eor|set)|dmb|dsb|isb")


class Instruction(NamedTuple):
    text: str  #: mnemonic and operands, as objdump prints them
    target: str  #: the symbol it refers to, "" when none


def functions(compiled: Path, objdump: str) -> dict[str, list[Instruction]]:
    """By symbol, every instruction of an object file but padding."""
    found: dict[str, list[Instruction]] = {}
    body: list[Instruction] = []
    for line in run(objdump, "-d", "-r", "--no-show-raw-insn", compiled).splitlines():
        if start := re.fullmatch(r"[0-9a-f]+ <(.+)>:", line):
            body = found.setdefault(start[1], [])
        elif relocation := re.match(r"\s+[0-9a-f]+: R_\S+\s+(\S+)", line):
            if body:
                body[-1] = body[-1]._replace(target=relocation[1])
        elif instruction := re.match(r"\s+[0-9a-f]+:\s+(\S.*)", line):
            text = " ".join(re.sub(r"\s(#|//)\s.*", "", instruction[1]).split())
            if not re.match(r"(data16 |cs )*(nop|xchg %ax,%ax)", text):
                body.append(Instruction(text, ""))
    return found


def mix(body: list[Instruction], machine: str) -> dict[str, int]:
    """How many instructions of each kind; one that loads and stores counts as both."""
    kinds = x86_kinds if machine == "x86_64" else arm_kinds
    return dict(sorted(Counter(kind for instruction in body for kind in kinds(instruction)).items()))


def leaves(instruction: Instruction) -> str:
    """The kind of a call or of a jump out of the function."""
    slow = re.search(r"_slowly|\.cold|\.text\.unlikely", instruction.target)
    return "slow path" if slow else "call"


def x86_kinds(instruction: Instruction) -> Iterator[str]:
    mnemonic, _, operands = instruction.text.partition(" ")
    if X86_LOCKED.match(instruction.text):
        yield "locked"
    if "%fs:" in operands or "%gs:" in operands:
        yield "thread-local"
    if mnemonic.startswith("call") or (mnemonic == "jmp" and (instruction.target or operands.startswith("*"))):
        yield leaves(instruction)
    elif mnemonic.startswith("j"):
        yield leaves(instruction) if instruction.target else "branch"
    elif "(" in operands and not mnemonic.startswith(("lea", "prefetch")):
        to_memory = re.search(r"\)$", operands) is not None
        if not to_memory or not X86_WRITES_ONLY.match(mnemonic):
            yield "load"
        if to_memory and not X86_READS_ONLY.match(mnemonic):
            yield "store"
    else:
        yield "other"


def arm_kinds(instruction: Instruction) -> Iterator[str]:
    mnemonic, _, operands = instruction.text.partition(" ")
    if ARM_LOCKED.match(mnemonic):
        yield "locked"
    if "tpidr" in operands:
        yield "thread-local"
    if mnemonic in ("bl", "blr", "br") or (mnemonic == "b" and instruction.target):
        yield leaves(instruction)
    elif re.match(r"b$|b\.|cbn?z|tbn?z", mnemonic):
        yield leaves(instruction) if instruction.target else "branch"
    elif mnemonic.startswith(("ld", "st")):
        yield "load" if mnemonic.startswith("ld") else "store"
    else:
        yield "other"
