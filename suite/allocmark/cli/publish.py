# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark publish``: its options, and what it prints."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from allocmark.cli.arguments import note, say


def add_publish(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser(
        "publish",
        help="write a website with runs and the history that asv stored",
        description="Writes a website with runs and, when asv is installed, the history that it stored. Any static web "
        "server can serve it. Damaged files are left out with a note.",
    )
    parser.set_defaults(command=_publish)
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help='runs to show (default: the 20 newest of "runs" in asv.conf.json, or runs/*)',
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", help='where to write it (default: "html_dir" in asv.conf.json, or html)'
    )
    parser.add_argument("--config", metavar="FILE", help="asv's configuration (default: asv.conf.json, if it exists)")


def _publish(options: argparse.Namespace) -> int:
    from allocmark.asv.publish_site import publish

    config = Path(options.config) if options.config else None
    done = publish(config, Path(options.output) if options.output else None, options.runs)
    for text in done.notes:
        note(text)
    say(f"site: {done.folder}/index.html; to view it: python3 -m http.server -d {done.folder}")
    return 0
