# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark validate``: the error of the instrument itself, on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from allocmark.cli.arguments import FAILED, OK, USAGE, note
from allocmark.errors import UsageError


def add_validate(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser(
        "validate",
        help="how wrong allocmark itself is on this machine",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=_validate)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--quick", action="store_true", help="a first look, in two to three minutes")
    form.add_argument("--full", action="store_true", help="as much as the figures need, which takes hours")
    parser.add_argument("--json", metavar="FILE", help="also write it all as one JSON document; -: print that")


_DESCRIPTION = """\
Measures the instrument, in about twenty minutes, on an otherwise idle
machine:

  repeatability  does the same comparison say the same each time?
  silence        is nothing found where there is nothing?
  power          how small a slowdown is found 95 times in 100?
  fidelity       is the figure that of a loop written by hand?
  floor          does the floor cost less than every backend?
  carry-over     does a figure depend on what is measured beside it?
"""

_EPILOG = """\
The newest result of each machine is kept, and reports of its runs cite it.
docs/how-are-the-numbers-made.md explains the figures and their limits.

exit status: 0 no figure is beyond its limit; 1 one is; 2 not possible as asked,
or one of the proofs could not be done
"""


def _validate(options: argparse.Namespace) -> int:
    from allocmark.discovery import discover
    from allocmark.output import write_whole
    from allocmark.output.text.progress import reporter
    from allocmark.results.kept_validation import validation_file
    from allocmark.validate import forms
    from allocmark.validate.proof import Holds
    from allocmark.validate.validation import document, validate
    from allocmark.validate.validation_table import render_validation

    form = forms.QUICK if options.quick else forms.FULL if options.full else forms.DEFAULT
    target = Path(options.json) if options.json and options.json != "-" else None
    if target and (target.is_dir() or not target.absolute().parent.is_dir()):
        raise UsageError(f"--json {target}: cannot be written there")
    with reporter(sys.stderr) as report:
        proofs = validate(form, discover(), report)
    found = document(proofs, form)
    text = json.dumps(found, indent=1) + "\n"
    if options.json == "-":
        sys.stdout.write(text)
    else:
        print(render_validation(proofs), end="")
    if target:
        write_whole(target, text)
    try:
        kept = validation_file(found["environment"]["machine"])
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, text)
    except (OSError, RuntimeError) as error:
        note(f"not kept for reports: {error}")
    if any(proof.holds is Holds.NO for proof in proofs):
        return FAILED
    return OK if all(proof.figures for proof in proofs) else USAGE
