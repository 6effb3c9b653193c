# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark track``: what its sub-commands are asked, and what they print. Whatever is heavy is imported late."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allocmark.cli.publish import add_publish
from allocmark.errors import UsageError
from allocmark.output.text import terminal_width

if TYPE_CHECKING:
    from allocmark.measuring.request import Request

FOUND, NOT_FOUND = 0, 3  #: exit statuses of a bisection


def add_track(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    track = commands.add_parser("track", help="revisions of a repository: gate a change, find what made it slower")
    actions = track.add_subparsers(required=True, metavar="ACTION")

    gate = actions.add_parser(
        "gate",
        help="is HEAD slower than BASE? Exit status 0: no, 1: yes, 2: could not be measured, 3: cannot tell",
        description="Builds the backends of both revisions and measures them in turns, with this allocmark, until "
        "every cell is certain or the budget is spent. Exit status 0: as fast or faster, 1: slower, 2: could not be "
        "measured, 3: cannot tell.",
    )
    gate.set_defaults(command=_gate)
    gate.add_argument("base", metavar="BASE", help="revision to compare with")
    gate.add_argument("head", metavar="HEAD", help="revision that is judged")
    _add_cells(gate)
    gate.add_argument("--unchanged", action="store_true", help="measure backends whose files are the same, too")

    bisect = actions.add_parser(
        "bisect",
        help="find the commit that made it slower. Exit status 0: found, 2: cannot be done, 3: cannot tell",
        description="Looks for the first commit after GOOD that has the slowdown of BAD, along first parents.",
    )
    bisect.set_defaults(command=_bisect)
    bisect.add_argument("good", metavar="GOOD")
    bisect.add_argument("bad", metavar="BAD")
    _add_cells(bisect)

    compare = actions.add_parser(
        "compare",
        help="two revisions by what `track run` has stored of them, worst first",
        description="What is stored was not measured in turns, so only large differences are told. With --measure both "
        "revisions are measured as by `gate`.",
    )
    compare.set_defaults(command=_compare)
    compare.add_argument("base", metavar="BASE")
    compare.add_argument("head", metavar="HEAD")
    compare.add_argument("--measure", action="store_true", help="measure now; the options below are for this")
    _add_cells(compare)

    run = actions.add_parser(
        "run",
        help="measure the commits of a range with asv and keep their samples; goes on where it was",
        description="asv run over a range of commits. What follows -- goes to asv.",
    )
    run.set_defaults(command=_run)
    run.add_argument("range", metavar="RANGE", help="as git names it: HEAD~5..HEAD, HEAD^!")
    run.add_argument("asv", nargs="*", metavar="-- OPTION", help="of `asv run`")
    run.add_argument("-C", "--repository", type=Path, default=Path(), metavar="DIR", help="default: here")

    add_publish(actions)


def _add_cells(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="name or file; none: all")
    parser.add_argument("-b", "--backend", action="append", default=[], metavar="NAME[:VARIANT]", help="as in `run`")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE[,VALUE...]", help="as in `run`")
    parser.add_argument("--full", action="store_true", help="every cell of the workloads, not their short form")
    parser.add_argument(
        "--limit",
        type=_percent,
        default=2.0,
        metavar="PERCENT",
        help="a slowdown of this much must not pass (default 2)",
    )
    parser.add_argument("--budget", type=_minutes, default=10.0, metavar="MINUTES", help="at most (default 10)")
    parser.add_argument("-C", "--repository", type=Path, default=Path(), metavar="DIR", help="default: here")


def _percent(text: str) -> float:
    return _number(text, 0.1, 100.0)


def _minutes(text: str) -> float:
    return _number(text, 0.01, 10_000.0)


def _number(text: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a number from {least:g} to {most:g}")
    return value


def _request(options: argparse.Namespace) -> Request:
    from allocmark.cli.arguments import assignments, workload_names
    from allocmark.gate.contest import request_of

    return request_of(
        workloads=workload_names(options.workloads),
        backends=options.backend,
        overrides=assignments(options.set),
        short=not options.full,
    )


def _compare(options: argparse.Namespace) -> int:
    if options.measure:
        options.unchanged = False
        _gate(options)
        return 0
    from allocmark.asv.compare_stored import compare_stored
    from allocmark.asv.run_asv import results_folder
    from allocmark.gate.table import render_stored

    rows, notes = compare_stored(options.repository, results_folder(options.repository), options.base, options.head)
    for note in notes:
        print(f"allocmark: {note}", file=sys.stderr)
    print(render_stored(rows, terminal_width()), end="")
    return 0


def _run(options: argparse.Namespace) -> int:
    from allocmark.asv.run_asv import run

    return run(options.repository, options.range, options.asv)


def _gate(options: argparse.Namespace) -> int:
    from allocmark.gate.gate import gate
    from allocmark.gate.table import render_gate
    from allocmark.output.text.progress import reporter

    with reporter(sys.stderr) as report:
        done = gate(
            options.repository,
            options.base,
            options.head,
            _request(options),
            report,
            limit=options.limit / 100,
            minutes=options.budget,
            unchanged=options.unchanged,
        )
    print(render_gate(done, terminal_width()), end="")
    return done.status


def _bisect(options: argparse.Namespace) -> int:
    from allocmark.gate.bisect import Bisection, bisect
    from allocmark.gate.gate import CANNOT_TELL
    from allocmark.gate.table import render_bisection, render_gate
    from allocmark.output.text.progress import reporter

    with reporter(sys.stderr) as report:
        found = bisect(
            options.repository,
            options.good,
            options.bad,
            _request(options),
            report,
            limit=options.limit / 100,
            minutes=options.budget,
        )
    if isinstance(found, Bisection):
        print(render_bisection(found, terminal_width()), end="")
        return FOUND if found.first_bad else NOT_FOUND
    print(render_gate(found, terminal_width()), end="")
    if found.status == CANNOT_TELL:
        return NOT_FOUND
    raise UsageError(f"{options.bad} is not slower than {options.good}: there is nothing to bisect")
