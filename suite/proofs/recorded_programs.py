# SPDX-License-Identifier: BSD-3-Clause
"""How do recorded programs compare? Runs the commands of docs/how-do-recorded-programs-compare.md as they stand there,
and writes their figures into that page. Other options go to ``allocmark replay``.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from allocmark.output.export.markdown import row
from allocmark.results.store import Run, read_run
from allocmark.results.summary import summarise
from proofs.all_allocators import section

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-do-recorded-programs-compare.md"
BEGIN, END = "<!-- made by `make bench-programs` -->\n", "<!-- end -->\n"
NEEDS = {"cc.trace": "cc", "sqlite.trace": "sqlite3", "redis.trace": "redis-server"}


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--note", default="", metavar="TEXT", help="written beside them: what else the machine did")
    options, more = parser.parse_known_args()
    missing = {trace: program for trace, program in NEEDS.items() if not shutil.which(program)}
    *records, replay = documented()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "suite").symlink_to(ROOT / "suite")  # of which a file is compiled
        for words in records:
            if not missing.keys() & {*words}:
                _allocmark(words, folder)
        _allocmark([word for word in replay if word not in missing] + more + ["-o", "run"], folder)
        made = "\n".join(_figures(read_run(folder / "run"), options.note, missing))
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{made}\n\n{END}{rest.partition(END)[2]}")
    print(f"written: {PAGE}")
    return 0


def documented() -> list[list[str]]:
    """The words of the page's commands, behind ``allocmark``: those that record, and the one that replays."""
    found = re.findall(r"^allocmark ((?:record|replay) (?:\\\n|.)*)$", PAGE.read_text(), re.MULTILINE)
    return [shlex.split(command.replace("\\\n", " ")) for command in found]


def _allocmark(words: list[str], folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "allocmark", *words], cwd=folder, stdout=subprocess.DEVNULL, check=False
    )
    if done.returncode not in (0, 1):  # 1: a cell failed, which the table says
        sys.exit(f"allocmark {shlex.join(words)}: exit status {done.returncode}")


def _figures(run: Run, note: str, missing: dict[str, str]) -> Iterator[str]:
    yield from section(run, note)
    cases = summarise(run)
    yield ""
    yield row(["resident / live", *(case.planned.workload for case in cases)])
    yield row(["---", *("---" for _ in cases)])
    for cells in zip(*(case.cells for case in cases), strict=True):
        memory = [cell.cell.passes.get("replayed") for cell in cells]
        if any(memory):
            yield row([f"`{cells[0].cell.label}`", *(f"{m.overhead:.2f}" if m and m.overhead else "" for m in memory)])
    for trace, program in missing.items():
        yield ""
        yield f"Not recorded: {trace.removesuffix('.trace')}, as {program} is not installed."


if __name__ == "__main__":
    sys.exit(main())
