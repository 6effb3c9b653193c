# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark export``: its options, and where the text goes."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from allocmark.output.export import FORMATS, export


def add_export(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser("export", help="a run in the format of another tool")
    parser.set_defaults(command=_export)
    parser.add_argument("run", metavar="RUN", help="run file or its folder")
    parser.add_argument("--format", required=True, choices=FORMATS)
    parser.add_argument("-o", "--output", metavar="FILE", help="default: here")
    parser.add_argument("--baseline", metavar="NAME[:VARIANT]", help="what ratios compare with")


def _export(options: argparse.Namespace) -> int:
    from allocmark.results.store import read_run

    run = read_run(options.run)
    text = export(run, options.format, options.baseline)
    if options.output and options.output != "-":
        _write(Path(options.output), text)
    else:
        sys.stdout.write(text)
    if run.torn is None:
        return 0
    print(f"allocmark: {run.path}:{run.torn}: cut off here; the cases before it were exported", file=sys.stderr)
    return 2


def _write(path: Path, text: str) -> None:
    """All of it or nothing: what stood there stays until the new file is whole."""
    fd, fresh = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.absolute().parent)
    try:
        with os.fdopen(fd, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.chmod(fresh, 0o644)
        os.replace(fresh, path)
    except BaseException:
        os.unlink(fresh)
        raise
