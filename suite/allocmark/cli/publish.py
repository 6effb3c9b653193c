# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark publish``: its options, and what it prints."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_publish(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser("publish", help="write the site: asv's history and runs, for any static web server")
    parser.set_defaults(command=_publish)
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help="runs to show; none: the newest of the folder runs (asv.conf.json: runs)"
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", help="where the site goes (default html_dir of asv.conf.json, else html)"
    )
    parser.add_argument("--config", metavar="FILE", help="asv's configuration (default asv.conf.json, if there is one)")


def _publish(options: argparse.Namespace) -> int:
    from allocmark.asv.publish_site import publish

    config = Path(options.config) if options.config else None
    done = publish(config, Path(options.output) if options.output else None, options.runs)
    for note in done.notes:
        print(f"allocmark: {note}", file=sys.stderr)
    print(f"site: {done.folder}/index.html; to look at it: python3 -m http.server -d {done.folder}")
    return 0
