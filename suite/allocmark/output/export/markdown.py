# SPDX-License-Identifier: BSD-3-Clause
"""A Markdown table for a pull request: how often each verdict was given, then every cell, in GitHub's dialect.

Text that comes from files and plugins stands in code spans, where neither markup, nor HTML, nor ``@name`` works.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from allocmark.output.text.figures import assignments, figure, interval, plain
from allocmark.output.text.wording import heading, outcome, ratio_explained, reason, verdicts_explained
from allocmark.results.store import Run
from allocmark.results.summary import CaseSummary, CellSummary, summarise
from allocmark.stats import MARGIN, Verdict

_RIGHT = ("ns/object", "95 % interval", "net", "ratio", "99 % interval")
_HEADER = ("workload", "parameters", "backend", *_RIGHT, "verdict")


def render(run: Run, baseline: str | None = None) -> str:
    """The run as Markdown. Raises UsageError for an unknown baseline."""
    cases = summarise(run, baseline)
    lines = [f"### allocmark: {_tally(cases)}", ""]
    lines += [f"{code(line)}  " for line in heading(run, cases)]
    lines += ["", row(_HEADER), row(["---:" if name in _RIGHT else "---" for name in _HEADER])]
    lines += [row(cells) for case in cases for cells in _cells(case)]
    lines += [
        "",
        "ns/object: nanoseconds per object. net: ns/object less that of the floor.  ",
        f"{ratio_explained('the baseline')}  ",
        verdicts_explained("99 %", MARGIN),
    ]
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    """``text`` as a code span that also fits into a table's cell; nothing for nothing."""
    text = plain(text)
    if not text:
        return ""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")


def _tally(cases: Sequence[CaseSummary]) -> str:
    cells = [cell for case in cases for cell in case.cells]
    counts = Counter(cell.verdict for cell in cells if cell.verdict)
    failed = sum(cell.cell.status == "failed" for cell in cells)
    said = [f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict]]
    return ", ".join(said + ([f"{failed} failed"] if failed else [])) or "no verdicts"


def _cells(case: CaseSummary) -> Iterator[list[str]]:
    for cell in case.cells:
        yield [
            code(case.planned.workload),
            code(assignments(case.planned.parameters)),
            code(cell.cell.label),
            figure(cell.median),
            interval(cell.median),
            figure(cell.net),
            figure(cell.ratio),
            interval(cell.ratio),
            _outcome(case, cell),
        ]


def _outcome(case: CaseSummary, cell: CellSummary) -> str:
    if cell.cell.status != "ok":
        return f"{cell.cell.status}: {code(reason(cell.cell))}"
    said = outcome(case, cell)
    return f"**{said}**" if cell.verdict is Verdict.SLOWER else said


def row(cells: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"
