# SPDX-License-Identifier: BSD-3-Clause
"""A gate as Markdown, for a comment on a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from allocmark import __version__
from allocmark.gate.gate import Gate
from allocmark.gate.table import SAID, gate_notes, median_text, place, ratio_texts, title_of
from allocmark.output.export.markdown import code, row
from allocmark.stats import ERROR, Verdict

_RIGHT = ("base", "head", "ratio", "interval", "rounds")
_HEADER = ("backend", "workload", *_RIGHT, "verdict")


def gate_comment(gate: Gate) -> str:
    """The result, a table of all cells with their intervals, and the notes."""
    return "\n".join(_lines(gate)) + "\n"


def _lines(gate: Gate) -> Iterator[str]:
    yield f"### allocmark gate: {SAID[gate.status].format(limit=100 * gate.limit)}"
    yield ""
    for name, side in (("base", gate.base), ("head", gate.head)):
        yield f"{name}: {code(side.revision)} ({side.commit[:10]})  "
    yield f"allocmark {__version__}"
    yield ""
    if gate.rows:
        yield row(_HEADER)
        yield row(["---:" if name in _RIGHT else "---" for name in _HEADER])
        for each in gate.rows:
            said = str(each.verdict or "failed")
            figures = [median_text([getattr(one, side) for one in each.tally.used()]) for side in ("base", "head")]
            cells = [code(each.tally.pair.label), code(title_of(each)), *figures, *ratio_texts(each.ratio)]
            yield row([*cells, str(len(each.tally.used())), f"**{said}**" if each.verdict is Verdict.SLOWER else said])
        yield ""
        yield (
            "base, head: ns/object. ratio: head / base; below 1, head is faster. rounds: sets of fresh processes. "
            f"In {1 - ERROR:.0%} of gates all intervals contain the true ratios."
        )
        yield ""
    failures = [f"{place(each)}: {each.tally.failure}" for each in gate.rows if each.tally.failure]
    yield from (f"- {code(note)}" for note in [*failures, *gate_notes(gate)])
