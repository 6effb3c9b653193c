# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark compare``: backends of one run, or two runs."""

from __future__ import annotations

import argparse
from typing import Any

from allocmark.cli.arguments import BASELINE
from allocmark.cli.reading import read
from allocmark.errors import UsageError
from allocmark.output.text.terminal import columns


def add_compare(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser("compare", help="backends of one run, or two runs, worst first")
    parser.set_defaults(command=_compare)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="one or two")
    parser.add_argument("--baseline", metavar="NAME[:VARIANT]", help=BASELINE)


def _compare(options: argparse.Namespace) -> int:
    from allocmark.output.text.comparison import compare

    if len(options.runs) > 2:
        raise UsageError(f"compare takes one or two runs, and {len(options.runs)} were given")
    found = [read(path) for path in options.runs]
    print(compare([run for run, _ in found], options.baseline, columns()))
    return max(status for _, status in found)
