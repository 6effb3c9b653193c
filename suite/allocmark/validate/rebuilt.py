# SPDX-License-Identifier: BSD-3-Clause
"""Builds one backend several times, each time with its functions in another order and at another place."""

from __future__ import annotations

import os
import random
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from allocmark.errors import AllocmarkError
from allocmark.new_backend import rendered
from allocmark.plugin_build import get_compile_args, get_include
from allocmark.validate.twins import Twin

SOURCE = "src/freelist.c"  #: of what `allocmark new-backend freelist` writes
TABLE = "allocmark_freelist_table"

_FUNCTION = re.compile(r"^static [\w *]*?\b(\w+)\(", re.MULTILINE)
_LONGEST_GAP = 64  #: cache lines


def compiler() -> list[str] | None:
    """The C compiler's command; None where there is none."""
    command = shlex.split(os.environ.get("CC", "cc"))
    return command if command and shutil.which(command[0]) else None


def build(folder: Path, times: int) -> list[Twin]:
    """So many libraries in ``folder``, which is made. The compiler has the flags of every backend."""
    folder.mkdir()
    text = rendered("freelist", "pool")[SOURCE]
    functions = list(dict.fromkeys(_FUNCTION.findall(text)))
    drawn = random.Random(1)
    built = []
    for number in range(times):
        drawn.shuffle(functions)
        library = folder / f"built{number}.so"
        _link(library, text, functions, [64 * drawn.randrange(_LONGEST_GAP) for _ in functions])
        built.append(Twin(f"b{number}", TABLE, library=str(library)))
    return built


def _link(library: Path, text: str, order: list[str], gaps: list[int]) -> None:
    """``text`` with its functions in this order, each behind a gap of so many bytes."""
    source = library.with_suffix(".c")
    numbered = {name: number for number, name in enumerate(order)}
    # A section each, which the linker sorts by name; before each a function that nobody calls.
    declared = "\n".join(
        f'__attribute__((used, noinline, section(".text.{number:03}.a"))) static void gap{number}(void) '
        f'{{ __asm__ volatile(".skip {gap}, 0x90"); }}'
        for number, gap in enumerate(gaps)
    )
    placed = _FUNCTION.sub(lambda m: f'__attribute__((section(".text.{numbered[m[1]]:03}.b"))) {m[0]}', text)
    source.write_text(f"{placed}\n{declared}\n")
    command = [
        *(compiler() or ["cc"]),
        *["-std=gnu11", "-shared", "-fPIC", "-pthread", f"-I{get_include()}", *get_compile_args()],
        *["-Wl,--sort-section=name", str(source), "-o", str(library)],
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[0]
        raise AllocmarkError(f"{SOURCE} could not be built again: {said}; see whether {command[0]} works")
