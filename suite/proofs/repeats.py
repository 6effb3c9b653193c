# SPDX-License-Identifier: BSD-3-Clause
"""Does `allocmark run` say the same each time? Runs one comparison again and again, and compares what is said.

Each run has a seed of its own, so other layouts and other random choices. A contradiction is a ratio that is faster in
one run and slower in another.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from allocmark.results.store import read_run
from allocmark.results.summary import summarise
from allocmark.stats import Verdict, median
from allocmark.validate.repeatability import Told, judged

Ratios = dict[tuple[str, str], list[Told]]  #: by case and backend: what each run said


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, usage="%(prog)s [--times N] -- [ARGUMENT OF allocmark run ...]"
    )
    parser.add_argument("--times", type=int, default=20, metavar="N", help="runs (default 20)")
    parser.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="what `allocmark run` is given")
    options = parser.parse_args()

    ratios: Ratios = {}
    seconds = []
    with tempfile.TemporaryDirectory(prefix="allocmark-") as folder:
        for number in range(1, options.times + 1):
            begun = time.monotonic()
            _run(options.arguments, number, Path(folder, str(number)), ratios)
            seconds.append(time.monotonic() - begun)
            print(f"run {number} of {options.times}: {seconds[-1]:.0f} s", file=sys.stderr)
    print(tabulate(*_rows(ratios), tablefmt="github"))
    print()
    for figure in judged(ratios, options.times):
        print(f"{figure.what}: {figure.text}")
    print(f"seconds of a run: {min(seconds):.0f} to {max(seconds):.0f}")
    return 0


def _run(arguments: Sequence[str], seed: int, folder: Path, ratios: Ratios) -> None:
    asked = ["-m", "allocmark", "run", *arguments, "--seed", str(seed), "-o", str(folder)]
    subprocess.run([sys.executable, *asked], check=True, stdout=subprocess.DEVNULL)
    for case in summarise(read_run(folder)):
        for cell in case.cells:
            if cell.verdict is not None:
                told = ratios.setdefault((case.planned.title, cell.cell.label), [])
                told.append(Told(cell.ratio, cell.verdict))


def _rows(ratios: Ratios) -> tuple[list[list[str]], list[str]]:
    rows = []
    for (title, label), said in ratios.items():
        found = [each.ratio for each in said if each.ratio]
        middle = median(ratio.value for ratio in found) if found else float("nan")
        contained = sum(ratio.low <= middle <= ratio.high for ratio in found if ratio.covered)
        verdicts = Counter(each.verdict for each in said)
        rows.append(
            [
                title,
                label,
                ", ".join(f"{verdict} {verdicts[verdict]}" for verdict in Verdict if verdicts[verdict]),
                f"{middle:.3f}",
                f"{min(r.value for r in found):.3f} to {max(r.value for r in found):.3f}" if found else "",
                f"{contained} of {sum(ratio.covered for ratio in found)}",
            ]
        )
    return rows, ["case", "backend", "verdicts", "median ratio", "ratios", "intervals with the median"]


if __name__ == "__main__":
    sys.exit(main())
