# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark doctor``: what this machine has, and what that means for measuring."""

from __future__ import annotations

import argparse
import json
from typing import Any

from allocmark.cli.arguments import OK


def add_doctor(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser("doctor", help="what this machine has, and what that means for measuring")
    parser.set_defaults(command=_doctor)
    parser.add_argument("--json", action="store_true", help="for programs")


def _doctor(options: argparse.Namespace) -> int:
    from allocmark.system import machine_checks as doctor

    checks = doctor.checks()
    print(json.dumps(doctor.as_json(checks), indent=1) if options.json else doctor.render(checks))
    return OK
