# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark fleet``: the same comparison on several machines."""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allocmark.cli.arguments import (
    BASELINE,
    FAILED,
    OK,
    add_cells,
    add_selection,
    assignments,
    note,
    positive,
    say,
    seconds,
    seed,
    workload_names,
)
from allocmark.errors import UsageError
from allocmark.output.text import terminal_width

if TYPE_CHECKING:
    from allocmark.fleet.folder import FleetFolder
    from allocmark.measuring.request import Request


def add_fleet(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser(
        "fleet",
        help="the same comparison on several machines, through Dask",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = parser.add_subparsers(required=True, title="commands", metavar="COMMAND", parser_class=type(parser))
    _add_run(parts)
    _add_worker(parts)
    show = parts.add_parser("show", help="the table of a fleet's folder again")
    show.set_defaults(command=_show)
    show.add_argument("folder", metavar="DIR")
    show.add_argument("--baseline", metavar="NAME[:VARIANT]", help=BASELINE)
    show.add_argument("--json", action="store_true", help="as one JSON document")


_DESCRIPTION = """\
Measures the same cases on every kind of machine and prints a column for each.
Machines whose hardware is alike share the cases. Each machine measures one case
at a time and does nothing else meanwhile. Run files come home as they are done.
"""

_EPILOG = """\
on one machine:                dask scheduler
on each machine that measures: allocmark fleet worker tcp://HOST:8786
from anywhere:                 allocmark fleet run --short --scheduler tcp://HOST:8786

Dask sends Python code to its workers: use a network in which you trust everyone,
or set up TLS for Dask.
"""


def _add_run(parts: Any) -> None:
    parser = parts.add_parser("run", help="measure on all machines of a scheduler")
    parser.set_defaults(command=_run)
    add_cells(parser)
    add_selection(parser)
    parser.add_argument("--scheduler", required=True, metavar="ADDRESS", help="of Dask, such as tcp://host:8786")
    parser.add_argument("--seed", type=seed, default=1, metavar="N", help="of all random choices (default 1)")
    parser.add_argument(
        "--each", action="store_true", help="every machine measures every case, and has a column of its own"
    )
    parser.add_argument("--rounds", type=positive, metavar="N", help="processes of each cell at most (default 60)")
    parser.add_argument("--blocks", type=positive, metavar="N", help="samples of each process (default 8)")
    parser.add_argument("--sample-ms", type=positive, metavar="MS", help="length of a sample (default 3)")
    parser.add_argument(
        "--limit",
        type=seconds,
        metavar="TIME",
        help="a machine that takes longer for a case counts as lost (default: three times the longest it may take)",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("-o", "--output", metavar="DIR", help="new folder for the run files (default fleets/DATE-TIME)")
    where.add_argument("--resume", metavar="DIR", help="measure what is missing in DIR, as it was asked for")


def _add_worker(parts: Any) -> None:
    parser = parts.add_parser("worker", help="offer this machine to a fleet, until Ctrl-C")
    parser.set_defaults(command=_worker)
    parser.add_argument("scheduler", metavar="ADDRESS", help="of Dask's scheduler, such as tcp://host:8786")
    parser.add_argument("--name", default=socket.gethostname(), help="of this machine in tables (default: host name)")


def _worker(options: argparse.Namespace) -> int:
    from allocmark.fleet.link import check_installed

    check_installed()
    if not re.fullmatch(r"\w+://.+:\d+", options.scheduler):
        raise UsageError(f"{options.scheduler}: expected the address of Dask's scheduler, such as tcp://host:8786")
    # One case at a time, no limit on memory, and no process that would start it again: a worker that ended is lost.
    limits = ["--nworkers", "1", "--nthreads", "1", "--memory-limit", "0", "--no-nanny", "--no-dashboard"]
    command = [sys.executable, "-m", "distributed.cli.dask_worker", options.scheduler, "--name", options.name, *limits]
    os.execv(sys.executable, command)


def _run(options: argparse.Namespace) -> int:
    from allocmark.fleet.campaign import Campaign
    from allocmark.fleet.folder import FleetFolder, new_fleet
    from allocmark.fleet.link import Link
    from allocmark.output.text.progress import reporter
    from allocmark.results.store import FLEET_FILE_NAME

    if options.resume:
        folder = FleetFolder(Path(options.resume))
        fleet = folder.read()
    else:
        folder = FleetFolder(Path(options.output) if options.output else _fresh())
        if (folder.path / FLEET_FILE_NAME).exists():
            raise UsageError(f"{folder.path}: has a fleet's runs already: --resume {folder.path}, or another folder")
        fleet = new_fleet(options.argv, _request(options), options.baseline, options.each)
    with Link(options.scheduler) as link, reporter(sys.stderr) as report:
        try:
            fleet = Campaign(link, folder, note, report, options.limit).run(fleet)
        except KeyboardInterrupt:
            note(f"interrupted; what came home is kept: `allocmark fleet run --scheduler … --resume {folder.path}`")
            raise
    _print(folder, None)
    say(f"run files: {folder.path}")
    return FAILED if fleet.given_up else OK


def _fresh() -> Path:
    from allocmark.results.store import fresh_folder

    return fresh_folder(Path("fleets"))


def _request(options: argparse.Namespace) -> Request:
    from allocmark.measuring.given import absolute, check_prefix
    from allocmark.measuring.request import Request

    check_prefix(options.prefix, options.backend)
    return Request(
        workloads=workload_names(options.workloads),
        backends=[absolute(name) for name in options.backend],
        group=options.group,
        prefix=options.prefix,
        overrides=assignments(options.set),
        short=options.short or not options.workloads,
        seed=options.seed,
        rounds=options.rounds or Request.rounds,
        blocks=options.blocks or Request.blocks,
        sample_ms=float(options.sample_ms or Request.sample_ms),
    )


def _show(options: argparse.Namespace) -> int:
    from allocmark.fleet.folder import FleetFolder

    folder = FleetFolder(Path(options.folder))
    if options.json:
        print(json.dumps(_document(folder, options.baseline), indent=1))
    else:
        _print(folder, options.baseline)
    return OK


def _print(folder: FleetFolder, baseline: str | None) -> None:
    from allocmark.fleet.summaries import summarise_fleet
    from allocmark.output.text.fleet_table import fleet_table

    print(fleet_table(summarise_fleet(folder, baseline), terminal_width()))


def _document(folder: FleetFolder, baseline: str | None) -> dict[str, Any]:
    from allocmark.fleet.summaries import summarise_fleet

    fleet = folder.read()
    return {
        "machines": {name: {"kind": member.kind, **member.machine} for name, member in fleet.members.items()},
        "lost": fleet.lost,
        "given_up": fleet.given_up,
        "ratios": [
            {
                "kind": kind,
                "case": title,
                "backend": cell.cell.label,
                "baseline": case.baseline,
                "ns": cell.median and cell.median.value,
                "ratio": cell.ratio and cell.ratio.value,
                "ratio_ci99": [cell.ratio.low, cell.ratio.high] if cell.ratio and cell.ratio.covered else None,
                "verdict": cell.verdict,
            }
            for kind, cases in summarise_fleet(folder, baseline).found.items()
            for title, case in cases.items()
            for cell in case.cells
        ],
    }
