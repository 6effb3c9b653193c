# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark track``: what its sub-commands are asked, and what they print. Whatever is heavy is imported late."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allocmark.cli.arguments import add_cells, assignments, check_target, note, workload_names
from allocmark.cli.publish import add_publish
from allocmark.errors import UsageError
from allocmark.output.text import terminal_width

if TYPE_CHECKING:
    from allocmark.gate.rounds import GateRequest
    from allocmark.measuring.schedule import Progress

FOUND, NOT_FOUND = 0, 3  #: exit statuses of a bisection


def add_track(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    track = commands.add_parser("track", help="compare revisions: gate a change, find the commit that made it slower")
    actions = track.add_subparsers(required=True, metavar="ACTION")

    gate = actions.add_parser(
        "gate",
        help="is HEAD slower than BASE? Exit status 0: no, 1: yes, 2: not everything was measured, 3: cannot tell",
        description="Builds the backends of both revisions and measures them in turns, until every cell has a verdict "
        "or the budget is spent. This allocmark measures both; uncommitted changes are not measured. Exit status 0: no "
        "cell is slower, 1: a cell is slower, 2: something that should be compared could not be, 3: the measurements "
        "vary too much to tell.",
    )
    gate.set_defaults(command=_gate)
    gate.add_argument("base", metavar="BASE", help="revision to compare with")
    gate.add_argument("head", metavar="HEAD", help="revision that is judged")
    _add_comparison(gate)
    gate.add_argument("--markdown", type=Path, metavar="FILE", help="write the table also as Markdown, for a comment")
    gate.add_argument(
        "--unchanged", action="store_true", help="measure also backends whose files are the same at both revisions"
    )

    bisect = actions.add_parser(
        "bisect",
        help="find the commit that made it slower. Exit status 0: found, 2: nothing is slower, 3: cannot tell",
        description="Finds the first commit after GOOD that has the slowdown of BAD. Follows the first parent of each "
        "merge, as `git log --first-parent` does.",
    )
    bisect.set_defaults(command=_bisect)
    bisect.add_argument("good", metavar="GOOD", help="revision that is fast, an ancestor of BAD")
    bisect.add_argument("bad", metavar="BAD", help="revision that is slow")
    _add_comparison(bisect)

    compare = actions.add_parser(
        "compare",
        help="two revisions by the results that `track run` has stored, worst first",
        description="Stored results of two revisions were measured at different times, so only differences above 5 % "
        "get a verdict. With --measure both revisions are measured now, as `track gate` does.",
    )
    compare.set_defaults(command=_compare)
    compare.add_argument("base", metavar="BASE", help="revision to compare with")
    compare.add_argument("head", metavar="HEAD", help="revision that is judged")
    compare.add_argument("--measure", action="store_true", help="measure now; the options below need this")
    _add_comparison(compare)

    run = actions.add_parser(
        "run",
        help="measure the commits of a range with asv and store the results; continues where it stopped",
        description="Runs `asv run` on a range of commits and keeps all samples. What has results already is not "
        "measured again. Options after -- are passed to asv.",
    )
    run.set_defaults(command=_run)
    run.add_argument("range", metavar="RANGE", help="commits as git names them: HEAD~5..HEAD, or HEAD^! for one")
    run.add_argument("asv", nargs="*", metavar="-- OPTION", help="option of `asv run`")
    _add_repository(run)

    init = actions.add_parser(
        "init",
        help="write an allocmark.toml: a repository without Python needs no more",
        description="Writes allocmark.toml into the top folder of a repository: how its library is built, for which "
        "backend and which workloads. Read it and correct it. All other commands then work on every commit, also on "
        "those without the file.",
    )
    init.set_defaults(command=_init)
    init.add_argument("name", metavar="NAME", help="of the backend, as -b takes it: mypool")
    init.add_argument(
        "--interface", choices=("malloc", "table"), default="malloc", help="what the library offers (default malloc)"
    )
    init.add_argument(
        "--github",
        action="store_true",
        help="write also a workflow that gates pull requests, .github/workflows/gate.yml",
    )
    _add_repository(init)

    add_publish(actions)


def _add_comparison(parser: argparse.ArgumentParser) -> None:
    add_cells(parser)
    parser.add_argument("--full", action="store_true", help="every case of the workloads, not their short form")
    parser.add_argument(
        "--limit",
        type=_number(0.1, 100.0),
        default=2.0,
        metavar="PERCENT",
        help="a slowdown of this much must not pass (default 2)",
    )
    parser.add_argument(
        "--budget",
        type=_number(0.01, 10_000.0),
        default=10.0,
        metavar="MINUTES",
        help="longest time for one comparison (default 10)",
    )
    _add_repository(parser)


def _add_repository(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-C", "--repository", type=Path, default=Path(), metavar="DIR", help="the git repository (default: here)"
    )


def _number(least: float, most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a number from {least:g} to {most:g}")
        return value

    return parse


def _asked(options: argparse.Namespace, report: Callable[[Progress], None]) -> GateRequest:
    from allocmark.gate.rounds import GateRequest, cells_of
    from allocmark.measuring.given import is_given

    if given := next(filter(is_given, options.backend), None):
        raise UsageError(f"-b {given}: this compares what two revisions build, and a file belongs to neither")
    cells = cells_of(
        workloads=workload_names(options.workloads) or _recipe_workloads(options.repository),
        backends=options.backend,
        overrides=assignments(options.set),
        short=not options.full,
    )
    unchanged = getattr(options, "unchanged", False)
    return GateRequest(options.repository, cells, options.limit / 100, options.budget, unchanged, report)


def _recipe_workloads(repository: Path) -> list[str]:
    from allocmark.gate.revisions.git import top_folder
    from allocmark.gate.revisions.recipe import read_recipe

    recipe = read_recipe(top_folder(repository))
    return recipe.workload_names() if recipe else []


def _compare(options: argparse.Namespace) -> int:
    if options.measure:
        _gate(options)
        return 0
    from allocmark.asv.compare_stored import compare_stored, render_stored
    from allocmark.asv.settings import config_of, read_settings

    results = Path(read_settings(config_of(options.repository), options.repository)["results_dir"])
    rows, notes = compare_stored(options.repository, results, options.base, options.head)
    for text in notes:
        note(text)
    print(render_stored(rows, terminal_width()), end="")
    return 0


def _init(options: argparse.Namespace) -> int:
    from allocmark.gate.revisions.git import top_folder
    from allocmark.new_backend import write_recipe

    for file in write_recipe(options.name, options.interface, top_folder(options.repository), ci=options.github):
        print(file)
    print("next: correct it, then: allocmark track gate HEAD~1 HEAD")
    return 0


def _run(options: argparse.Namespace) -> int:
    from allocmark.asv.run_asv import run

    return run(options.repository, options.range, options.asv)


def _gate(options: argparse.Namespace) -> int:
    from allocmark.gate.comment import gate_comment
    from allocmark.gate.gate import gate
    from allocmark.gate.table import render_gate
    from allocmark.output.text.progress import reporter

    if options.markdown:
        check_target(f"--markdown {options.markdown}", options.markdown)
    with reporter(sys.stderr) as report:
        done = gate(_asked(options, report), options.base, options.head)
    print(render_gate(done, terminal_width()), end="")
    if options.markdown:
        options.markdown.write_text(gate_comment(done), encoding="utf-8")
    return done.status


def _bisect(options: argparse.Namespace) -> int:
    from allocmark.gate.bisect import Bisection, bisect
    from allocmark.gate.gate import CANNOT_TELL
    from allocmark.gate.table import render_bisection, render_gate
    from allocmark.output.text.progress import reporter

    with reporter(sys.stderr) as report:
        found = bisect(_asked(options, report), options.good, options.bad)
    if isinstance(found, Bisection):
        print(render_bisection(found, terminal_width()), end="")
        return FOUND if found.first_bad else NOT_FOUND
    print(render_gate(found, terminal_width()), end="")
    if found.status == CANNOT_TELL:
        return NOT_FOUND
    raise UsageError(f"{options.bad} is not slower than {options.good}: there is nothing to bisect")
