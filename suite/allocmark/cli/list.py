# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark list``: the backends, workloads or probes that are installed."""

from __future__ import annotations

import argparse
import json
from typing import Any

from allocmark.cli.arguments import OK


def add_list(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser("list", help="list the backends, workloads or probes that are installed")
    parser.set_defaults(command=_list)
    parser.add_argument("what", choices=["backends", "workloads", "probes"], help="what to list")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def _list(options: argparse.Namespace) -> int:
    from allocmark.discovery import discover
    from allocmark.output.text import listing, terminal_width

    if options.what == "workloads":
        from importlib import import_module
        from threading import Thread

        # This brings pydantic, which takes as long as the plugins take to answer.
        Thread(target=import_module, args=("allocmark.workload.language.schema",)).start()
    host = discover()
    rows = {"backends": listing.backends, "workloads": listing.workloads, "probes": listing.probes}[options.what](host)
    print(json.dumps(rows, indent=1) if options.json else listing.render(rows, terminal_width()))
    return OK
