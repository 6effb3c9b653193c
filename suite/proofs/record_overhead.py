# SPDX-License-Identifier: BSD-3-Clause
"""What `allocmark record` adds to a pair of malloc and free: fresh processes with and without it, in turns."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

LIMIT = 30.0  #: ns that may be added
PATTERNS = ("freed at once", "mixed sizes, random lifetimes", "bulks of 32")


def _figures(command: list[str], folder: Path) -> list[float]:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.splitlines()[0].split()]


def main(rounds: int = 15) -> int:
    """Prints a line for each pattern; 1 when one adds more than the limit."""
    source = Path(__file__).with_name("pairs.c")
    added: list[list[float]] = [[] for _ in PATTERNS]
    alone: list[list[float]] = [[] for _ in PATTERNS]
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stderr(io.StringIO()):
        folder = Path(name)
        subprocess.run(["cc", "-O2", "-fno-builtin", "-o", folder / "pairs", source], check=True)
        for number in range(rounds):
            without = _figures(["./pairs"], folder)
            recording = [sys.executable, "-m", "allocmark", "record", "-o", f"{number}.trace", "--", "./pairs"]
            under = _figures(recording, folder)
            (folder / f"{number}.trace").unlink()
            for place, (a, b) in enumerate(zip(without, under, strict=True)):
                alone[place].append(a)
                added[place].append(b - a)
    print(f"what `allocmark record` adds to a pair of malloc and free, {rounds} rounds of fresh processes; ns")
    for what, a, b in zip(PATTERNS, alone, added, strict=True):
        print(f"{what:32} alone {median(a):6.1f}   added {median(b):6.1f}   (from {min(b):.1f} to {max(b):.1f})")
    worst = max(map(median, added))
    print(f"at most {worst:.1f} ns, the limit is {LIMIT:.0f}: {'kept' if worst <= LIMIT else 'not kept'}")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
