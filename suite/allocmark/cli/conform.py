# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark conform``: run the acceptance kit on one backend."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from allocmark.cli.arguments import FAILED, OK


def add_conform(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser("conform", help="check that a backend loses no object and hands out none twice")
    parser.set_defaults(command=_conform)
    parser.add_argument(
        "backend",
        metavar="NAME[:VARIANT]",
        help="without VARIANT the default one; may have wildcards; so:PATH and preload:PATH are libraries",
    )
    parser.add_argument("--prefix", default="", metavar="TEXT", help="what the functions of so:PATH begin with")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def _conform(options: argparse.Namespace) -> int:
    from allocmark import conformance
    from allocmark.measuring.given import absolute, check_prefix
    from allocmark.measuring.schedule import Progress
    from allocmark.output.text.listing import render
    from allocmark.output.text.progress import reporter

    check_prefix(options.prefix, [options.backend])
    cases = conformance.cases(absolute(options.backend), options.prefix)
    rows = []
    with reporter(sys.stderr) as report:
        for number, case in enumerate(cases):
            report(Progress(number / len(cases), case.backend, str(case)))
            result = case.run()
            told = {"case": str(case), "verdict": result.status, "why": result.reason}
            rows.append({"backend": case.backend, "version": case.version, **told})
    print(json.dumps(rows, indent=1) if options.json else render(rows))
    verdicts = {row["verdict"] for row in rows}
    return OK if "passed" in verdicts and "failed" not in verdicts else FAILED
