# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark doctor``: check this machine for what disturbs figures and what cannot be measured."""

from __future__ import annotations

import argparse
import json
from typing import Any

from allocmark.cli.arguments import OK


def add_doctor(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser("doctor", help="say what on this machine disturbs figures, and how to change it")
    parser.set_defaults(command=_doctor)
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def _doctor(options: argparse.Namespace) -> int:
    from allocmark.system.machine_checks import as_json, checks, render

    found = checks()
    print(json.dumps(as_json(found), indent=1) if options.json else render(found))
    return OK
