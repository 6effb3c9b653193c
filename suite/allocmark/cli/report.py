# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark report``: its options, and what it prints."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from allocmark.cli.arguments import BASELINE, OK, check_target, say
from allocmark.cli.reading import RUN, read
from allocmark.errors import UsageError


def add_report(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser("report", help="one HTML file about a run or a fleet, for a browser or an e-mail")
    parser.set_defaults(command=_report)
    parser.add_argument("run", nargs="?", metavar="RUN", help=f"{RUN}; also the folder of a fleet")
    parser.add_argument("-o", "--output", metavar="FILE", help="where it goes (default: report.html beside the run)")
    parser.add_argument("--before", metavar="RUN", help="an earlier run of the same machine, to compare with")
    parser.add_argument("--baseline", metavar="NAME[:VARIANT]", help=f"{BASELINE} (default: the baseline of the run)")
    parser.add_argument(
        "--conformance",
        action="append",
        default=[],
        metavar="FILE",
        help="a file of what `allocmark conform NAME --json` printed; may be repeated",
    )


def _report(options: argparse.Namespace) -> int:
    from allocmark.output.html import read_verdicts, write_report
    from allocmark.results.store import FLEET_FILE_NAME

    if options.run and (fleet := Path(options.run, FLEET_FILE_NAME)).exists():
        return _report_fleet(fleet.parent, options)
    run, status = read(options.run)
    before, status_before = read(options.before) if options.before else (None, OK)
    rows = [row for file in options.conformance for row in read_verdicts(Path(file))]
    path = _target(options.output, run.path, *([before.path] if before else []))
    write_report(run, path, before=before, baseline=options.baseline, conformance=rows)
    say(f"report: {path}")
    return max(status, status_before)


def _report_fleet(folder: Path, options: argparse.Namespace) -> int:
    from allocmark.fleet.folder import FleetFolder
    from allocmark.fleet.summaries import summarise_fleet
    from allocmark.output.html import write_fleet_report
    from allocmark.results.store import FLEET_FILE_NAME

    for name in ("before", "conformance"):
        if getattr(options, name):
            raise UsageError(f"{folder}: the runs of a fleet, whose page has no --{name}: leave it out")
    path = _target(options.output, folder / FLEET_FILE_NAME)
    write_fleet_report(summarise_fleet(FleetFolder(folder), options.baseline), path)
    say(f"report: {path}")
    return OK


def _target(output: str | None, *read_from: Path) -> Path:
    """Where the page goes: beside the first of the files that it is about, unless ``--output`` says. UsageError."""
    path = Path(output) if output else read_from[0].with_name("report.html")
    if path.resolve() in {each.resolve() for each in read_from}:
        raise UsageError(f"--output {path}: is the run file itself, choose another name")
    if not path.parent.is_dir():
        raise UsageError(f"--output {path}: there is no folder {path.parent}")
    check_target(f"--output {path}", path)
    return path
