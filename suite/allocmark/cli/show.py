# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark show``: the tables of a run."""

from __future__ import annotations

import argparse
import json
from typing import Any

from allocmark.cli.arguments import BASELINE
from allocmark.cli.reading import RUN, read
from allocmark.output.text import terminal_width


def add_show(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser("show", help="the tables of a run")
    parser.set_defaults(command=_show)
    parser.add_argument("run", nargs="?", metavar="RUN", help=RUN)
    parser.add_argument("--baseline", metavar="NAME[:VARIANT]", help=BASELINE)
    parser.add_argument("--json", action="store_true", help="the whole run as one JSON document, raw samples included")


def _show(options: argparse.Namespace) -> int:
    from allocmark.output.text.run_table import render
    from allocmark.results.summary import document

    run, status = read(options.run)
    baseline = options.baseline or run.header.baseline
    if options.json:
        print(json.dumps(document(run, baseline), indent=1))
    else:
        print(render(run, baseline, terminal_width()))
    return status
