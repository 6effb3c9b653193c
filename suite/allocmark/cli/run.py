# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark run``: measure, print the table, keep the run file."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allocmark.cli.arguments import (
    FAILED,
    INTERRUPTED,
    OK,
    add_cells,
    add_selection,
    assignments,
    check_target,
    note,
    positive,
    say,
    seconds,
    seed,
    workload_names,
)
from allocmark.errors import UsageError
from allocmark.output import naming
from allocmark.output.text import terminal_width

if TYPE_CHECKING:
    from allocmark.measuring.plan import Plan
    from allocmark.measuring.request import Request
    from allocmark.plugins import Host
    from allocmark.results.store import Run


def add_run(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser(
        "run",
        help="measure backends on workloads: a table, and a file with every sample",
        usage="%(prog)s [WORKLOAD ...] [-b NAME[:VARIANT]] [OPTION ...]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=_run)
    what = parser.add_argument_group("what to measure")
    add_cells(what)
    add_selection(what)
    what.add_argument("--seed", type=seed, metavar="N", help="number that all random choices follow from (default 1)")
    what.add_argument(
        "--together",
        action="store_true",
        help="take a backend's samples of a round one after another, not in turns with the others: for cases in which "
        "`allocmark validate` finds that a backend's cost depends on what is measured beside it",
    )
    what.add_argument(
        "--verify",
        action="store_true",
        help="measure nothing: check that no object is handed out twice, overlaps another, or is overwritten or lost",
    )
    what.add_argument(
        "--under",
        metavar="TOOL",
        help="measure nothing: run the process of one backend in one case under a tool that gets the terminal, such as "
        "'gdb --args' or valgrind",
    )
    how_long = parser.add_argument_group("how long")
    how_long.add_argument(
        "--rounds",
        type=positive,
        metavar="N",
        help="processes of each cell at most (default 60; 1 with --verify); with 12 or more, others are started in "
        "place of those that are set aside because a CPU was slower, up to twice as many in all",
    )
    how_long.add_argument(
        "--budget",
        type=seconds,
        metavar="TIME",
        help="end after so long, such as 90s, 10m or 2h; what is told ends before, and the rest gets its time. A "
        "case goes on beyond it until it has the rounds that a verdict takes, and those that are set aside do not "
        "count (default: no limit but --rounds)",
    )
    how_long.add_argument("--blocks", type=positive, metavar="N", help="samples of each process (default 8)")
    how_long.add_argument("--sample-ms", type=positive, metavar="MS", help="length of a sample (default 3)")
    how_long.add_argument(
        "--quick",
        action="store_true",
        help="a first look: --short, 16 rounds and 4 samples of 2 ms, where --rounds, --blocks and --sample-ms do not "
        "say; small differences are not told",
    )
    how_long.add_argument(
        "--dry-run", action="store_true", help="only say what would be measured, and how long that takes"
    )
    how_long.add_argument(
        "--timeout", type=positive, metavar="S", help="end a cell that does not answer for so many seconds (default 60)"
    )
    leave_out = parser.add_argument_group("what to leave out")
    leave_out.add_argument(
        "--no-pin", action="store_true", help="do not pin each actor to a CPU: the kernel may move them"
    )
    where = parser.add_argument_group("where results go")
    where.add_argument("-o", "--output", metavar="DIR", help="new folder for the run file (default runs/DATE-TIME)")
    where.add_argument(
        "--json", metavar="FILE", help="also write samples and figures as one JSON document; -: print it, not the table"
    )
    where.add_argument(
        "--resume",
        metavar="DIR",
        help="finish the run in DIR as it was asked for; cases with a failed cell are measured again; needs no other "
        "option",
    )
    parser.late = lambda: _add_passes(leave_out)


def _add_passes(leave_out: Any) -> None:
    from allocmark.passes import registry

    for each in registry.beside():
        leave_out.add_argument(f"--no-{each.name}", action="store_true", help=each.help)


_DESCRIPTION = """\
Measures backends (allocators and pools) on workloads, prints a table, and keeps
every sample in a run file.

  case    a workload with one set of parameters, such as burst with bulk=32
  cell    one backend in one case, in a process of its own
  round   a fresh process for each cell of a case. Where a process lies in
          memory can double its cost, so one process tells little: figures and
          intervals are over rounds. A case ends when every verdict is certain.
  block   one sample (timed stretch) of every cell of a case, taken in turns:
          what slows the machine for a while slows all backends
  floor   the backend `null`, which does nothing: what the workload itself
          costs. It is always measured.
"""

_EPILOG = """\
examples:
  allocmark run --quick
      a first look, in about two minutes: the backends and workloads of the
      default comparison
  allocmark run burst --short -b turbomem -b glibc --set bulk=32
      two cases of one workload, two backends and the floor
  allocmark run mixed_sizes --short --for malloc
      every malloc that is installed
  allocmark run --for serving
      the workloads of a set, on every backend that can run them; a set's name
      is a WORKLOAD, too: allocmark run serving --short -b turbomem -b glibc
  allocmark run burst --short -b so:/opt/libfoo.so --prefix foo_ -b glibc
      any library with the malloc interface (preload:PATH: one that must
      replace the malloc of its whole process)
  allocmark run cross_core_free --short --baseline dpdk_ring -o before
      ratios to dpdk_ring; the run file is before/run.jsonl
  allocmark run burst --short --set bulk=1 --set keep=128 -b glibc --under valgrind
      one process under a tool; "--under 'gdb --args'" for a debugger

exit status: 0 done; 1 a cell failed, or a backend named with -b ran in no case;
2 not possible as asked; 130 interrupted
"""


def _run(options: argparse.Namespace) -> int:
    if options.under is not None:
        return _run_under(options)
    request = None if options.resume else _request(options)
    return run_request(request, options)


def run_request(request: Request | None, options: argparse.Namespace) -> int:
    """Measure, print and keep what is asked for; None: what a run that is resumed asked for."""
    from allocmark.discovery import discover
    from allocmark.measuring import runner
    from allocmark.output.text.figures import counted
    from allocmark.output.text.progress import reporter
    from allocmark.output.text.run_table import render
    from allocmark.results.summary import document

    if sys.stderr.isatty():
        print("planning…", end="\r", file=sys.stderr, flush=True)
    host = discover()
    if request is None:
        given = [name for name, value in vars(options).items() if value and name not in _WITH_RESUME]
        if given:
            raise UsageError(f"--resume runs what was asked for at first: leave {', '.join(given)} out")
        directory = Path(options.resume)
        _check_target(options.json, directory)
        plan, writer, request = runner.resume(host, directory)
        for text in writer.removed:
            note(f"{text}: removed from the file; what is missing is measured again")
        if writer.failed:
            note(f"measured again: {counted(writer.failed, 'case')} in which a cell failed")
    else:
        if options.dry_run:
            return _dry_run(request, host, options.baseline)
        output = Path(options.output) if options.output else None
        _check_target(options.json, output)
        plan, writer = runner.start(request, host, output, options.argv, options.baseline)
    with writer:
        for broken in () if request.backends and not request.group else host.broken:
            note(f"plugin {broken.plugin!r} ({broken.distribution}) is not used: it {broken.cause}")
        for text in plan.left_out:
            note(f"left out: {text}")
        note(_expected(plan, request))
        with reporter(sys.stderr) as report:
            run = runner.execute(plan, request, host, writer, report)
    baseline = run.header.baseline
    whole = json.dumps(document(run, baseline), indent=1) + "\n" if options.json else ""
    if options.json == "-":
        sys.stdout.write(whole)
    else:
        print(render(run, baseline, terminal_width()))
        print()
        say(f"run file: {run.path}")
        if options.json:
            with naming(target := Path(options.json)):
                target.write_text(whole)
    if run.end and run.end.interrupted:
        note(f"interrupted; what was measured is kept: `allocmark run --resume {run.path.parent}` finishes it")
        return INTERRUPTED
    return _outcome(run, request)


def _run_under(options: argparse.Namespace) -> int:
    from allocmark.measuring.process import CellFailedError
    from allocmark.measuring.under_tool import run_under

    if given := [name.replace("_", "-") for name in _NOT_UNDER if getattr(options, name)]:
        raise UsageError(f"--under keeps nothing and measures nothing: leave --{' and --'.join(given)} out")
    try:
        done = run_under(options.under, _request(options))
    except CellFailedError as failure:
        note(str(failure))
        return FAILED
    print(f"{done}: its process ended well under {options.under}; nothing is kept")
    return OK


_NOT_UNDER = ("resume", "output", "json", "dry_run", "baseline", "budget", "rounds", "blocks")

#: What else may be given with --resume.
_WITH_RESUME = ("command", "argv", "json", "resume")


def _request(options: argparse.Namespace) -> Request:
    from allocmark.measuring.given import absolute, check_prefix
    from allocmark.measuring.request import Request
    from allocmark.passes import registry
    from allocmark.traces.trace_names import is_trace

    check_prefix(options.prefix, options.backend)
    workloads = workload_names(options.workloads)
    request = Request(
        workloads=workloads,
        backends=[absolute(name) for name in options.backend],
        group=options.group,
        prefix=options.prefix,
        overrides=assignments(options.set),
        short=options.short or options.quick or not options.workloads,
        seed=1 if options.seed is None else options.seed,
        verify=options.verify,
        pin=not options.no_pin,
        together=options.together,
        passes=[each.name for each in registry.beside() if not getattr(options, f"no_{each.name}")],
        rounds=1 if options.verify else options.rounds or (16 if options.quick else Request.rounds),
        # A trace is replayed once in each process.
        blocks=1 if any(map(is_trace, workloads)) else options.blocks or (4 if options.quick else Request.blocks),
        sample_ms=float(options.sample_ms or (2 if options.quick else Request.sample_ms)),
        budget=options.budget,
        timeout=float(options.timeout or Request.timeout),
    )
    if 2 * request.sample_ms > 1000 * request.timeout:
        raise UsageError(
            f"a sample of {request.sample_ms:g} ms may take longer than a cell may be silent ({request.timeout:g} s): "
            "raise --timeout, or take shorter samples with --sample-ms"
        )
    return request


def _dry_run(request: Request, host: Host, baseline: str | None) -> int:
    from allocmark.measuring import runner

    plan = runner.planned(request, host, baseline)
    for case in plan.cases:
        say(f"{case.record.title}: {', '.join(cell.backend.label for cell in case.cells)}")
    for text in plan.left_out:
        note(f"left out: {text}")
    print(_expected(plan, request))
    return OK


def _expected(plan: Plan, request: Request) -> str:
    from allocmark.measuring.estimate import run_seconds
    from allocmark.output.text.progress import expected

    cells = sum(cell.backend.unavailable is None for case in plan.cases for cell in case.cells)
    return expected(run_seconds(plan.cases, request), len(plan.cases), cells)


def _check_target(target: str | None, directory: Path | None) -> None:
    """Refuse a --json that could not be written when the run ends. The folder of the run itself is made by then."""
    from allocmark.results.store import FILE_NAME

    if target is None or target == "-":
        return
    folder = os.path.dirname(os.path.abspath(target))
    ours = directory is not None and folder == os.path.abspath(directory)
    if ours and os.path.basename(target) == FILE_NAME:
        raise UsageError(f"--json {target}: is the run file itself, choose another name")
    if ours and not os.path.exists(folder):
        return
    check_target(f"--json {target}", target)


def _outcome(run: Run, request: Request) -> int:
    """FAILED when a cell failed, nothing was measured, or a backend named with -b ran in no case."""
    from allocmark.backend import LIBRARY_KINDS
    from allocmark.measuring.given import is_given

    cells = [cell for case in run.cases for cell in case.cells]
    asked = [cell for cell in cells if not cell.floor] or cells
    if any(cell.status == "failed" for cell in cells) or all(cell.status != "ok" for cell in asked):
        return FAILED
    ran = {name for cell in cells if cell.status == "ok" for name in (cell.backend, cell.label)}
    named = [name for name in request.backends if not is_given(name) and not set(name) & set("*?[")]
    given = {cell.label for cell in cells if cell.backend in LIBRARY_KINDS}
    return FAILED if any(name not in ran for name in (*named, *given)) else OK
