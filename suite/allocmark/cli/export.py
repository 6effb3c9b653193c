# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark export``: its options, and where the text goes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from allocmark.cli.arguments import BASELINE
from allocmark.cli.reading import RUN, read
from allocmark.output import write_whole
from allocmark.output.export import FORMATS, export


def add_export(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser("export", help="a run in the format of another tool")
    parser.set_defaults(command=_export)
    parser.add_argument("run", nargs="?", metavar="RUN", help=RUN)
    parser.add_argument("--format", required=True, choices=FORMATS, help="json is the whole run, raw samples included")
    parser.add_argument("-o", "--output", metavar="FILE", help="where it goes (default: it is printed)")
    parser.add_argument("--baseline", metavar="NAME[:VARIANT]", help=BASELINE)


def _export(options: argparse.Namespace) -> int:
    run, status = read(options.run)
    text = export(run, options.format, options.baseline)
    if options.output and options.output != "-":
        write_whole(Path(options.output), text)
    else:
        sys.stdout.write(text)
    return status
