# SPDX-License-Identifier: BSD-3-Clause
"""How do all allocators compare? Runs the command of docs/how-do-all-allocators-compare.md as it stands there, and
writes its figures into that page, or those of a run that is there. Other options go to ``allocmark run``.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from allocmark.output.export.markdown import row
from allocmark.output.text.figures import assignments, figure
from allocmark.output.text.wording import machine_facts, outcome, reason, versions_of
from allocmark.results.store import Run, read_run
from allocmark.results.summary import CaseSummary, CellSummary, summarise

PAGE = Path(__file__).parents[2] / "docs" / "how-do-all-allocators-compare.md"
BEGIN, END = "<!-- made by `make bench-all` -->\n", "<!-- end -->\n"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--note", default="", metavar="TEXT", help="written beside them: what else the machine did")
    parser.add_argument("--run", type=Path, metavar="DIR", help="measure nothing: this run has the figures")
    options, more = parser.parse_known_args()
    folder = options.run or Path("runs", f"all-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    if not options.run:
        command = [*documented(), *more, "-o", str(folder)]
        done = subprocess.run([sys.executable, "-m", "allocmark", *command], check=False)
        if done.returncode not in (0, 1):  # 1: a cell failed, which the table says
            return done.returncode
    before, _, rest = PAGE.read_text().partition(BEGIN)
    made = "\n".join(section(read_run(folder), options.note))
    PAGE.write_text(f"{before}{BEGIN}\n{made}\n\n{END}{rest.partition(END)[2]}")
    print(f"written: {PAGE}")
    return 0


def documented() -> list[str]:
    """The words of the command of the page, behind ``allocmark``."""
    found = re.search(r"^allocmark (run .*)$", PAGE.read_text(), re.MULTILINE)
    assert found, f"{PAGE} has no command"
    return shlex.split(found[1])


def section(run: Run, note: str) -> Iterator[str]:
    """A run as lines of a page: where it ran, a table with a column for each case, and who could not run."""
    versions = ", ".join(f"{name} {version}" for name, version in versions_of(run).items())
    yield f"{machine_facts(run.header.environment)}, {run.header.created[:10]}."
    yield f"{versions}." + (f" **{note}**" if note else "")
    yield ""
    cases = summarise(run)
    yield row(["ns/object (ratio, verdict)", *(_head(case) for case in cases)])
    yield row(["---", *("---" for _ in cases)])
    for cells in zip(*(case.cells for case in cases), strict=True):
        shown = [_figures(case, cell) for case, cell in zip(cases, cells, strict=True)]
        yield row([f"`{cells[0].cell.label}`", *shown])
    missing = {f"- `{c.cell.label}`: {reason(c.cell)}": None for case in cases for c in case.cells if c.median is None}
    if missing:
        yield ""
        yield from missing


def _head(case: CaseSummary) -> str:
    varying = {"mix", "lifetime", "keep"} & set(case.planned.parameters)
    return f"{case.planned.workload} {assignments(case.planned.parameters, sorted(varying))}"


def _figures(case: CaseSummary, cell: CellSummary) -> str:
    if cell.median is None:
        return cell.cell.status
    said = ", ".join(filter(None, [figure(cell.ratio), outcome(case, cell)]))
    return f"{figure(cell.median)} ({said})"


if __name__ == "__main__":
    sys.exit(main())
