# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark compare``: the backends of one run, or two runs."""

from __future__ import annotations

import argparse
from typing import Any

from allocmark.cli.arguments import BASELINE
from allocmark.cli.reading import RUN, read
from allocmark.errors import UsageError
from allocmark.output.text import terminal_width


def add_compare(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser(
        "compare",
        help="the backends of one run, or two runs; the worst first",
        description="One run: every backend against the baseline. Two runs of one machine: every cell of the second "
        "against the same cell of the first; with --baseline, their ratios to it are compared, which removes what "
        "slowed or sped up the whole machine. The worst stand first.",
    )
    parser.set_defaults(command=_compare)
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"{RUN}; of two the earlier first")
    parser.add_argument("--baseline", metavar="NAME[:VARIANT]", help=BASELINE)


def _compare(options: argparse.Namespace) -> int:
    from allocmark.output.text.comparison import compare

    if len(options.runs) > 2:
        raise UsageError(f"compare takes one or two runs, and {len(options.runs)} were given")
    found = [read(path) for path in options.runs or (None,)]
    print(compare([run for run, _ in found], options.baseline, terminal_width()))
    return max(status for _, status in found)
