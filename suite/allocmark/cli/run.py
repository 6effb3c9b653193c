# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark run``: measure, print the table, keep the run file."""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allocmark.cli.arguments import (
    BASELINE,
    FAILED,
    INTERRUPTED,
    OK,
    assignments,
    note,
    positive,
    seed,
    workload_names,
)
from allocmark.errors import UsageError
from allocmark.output.text import terminal_width

if TYPE_CHECKING:
    from allocmark.measuring.request import Request
    from allocmark.results.store import Run


def add_run(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser("run", help="measure backends on workloads")
    parser.set_defaults(command=_run)
    parser.add_argument(
        "workloads",
        nargs="*",
        metavar="WORKLOAD",
        help="name or file; none: the short form of every workload",
    )
    parser.add_argument(
        "-b",
        "--backend",
        action="append",
        default=[],
        metavar="NAME[:VARIANT]",
        help="may be repeated, VARIANT may have wildcards; none: the default variant of every backend",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE[,VALUE...]",
        help="values of a sweep variable, or of a place in the file such as pools.mbuf.objects",
    )
    parser.add_argument("--short", action="store_true", help="only the cells of each workload's short form")
    parser.add_argument("--quick", action="store_true", help="short form, few and brief samples: a first look")
    parser.add_argument("--seed", type=seed, metavar="N", help="of everything random (default 1)")
    parser.add_argument("--verify", action="store_true", help="stamp and check every object instead of measuring")
    parser.add_argument("--no-latency", action="store_true", help="leave out the pass that times single calls")
    parser.add_argument(
        "--no-reuse", action="store_true", help="leave out the pass that counts pages and objects reused"
    )
    parser.add_argument("--blocks", type=positive, metavar="N", help="samples of a cell (default 100)")
    parser.add_argument("--sample-ms", type=positive, metavar="MS", help="length of a sample (default 25)")
    parser.add_argument("--timeout", type=positive, metavar="S", help="a silent cell is ended (default 60)")
    parser.add_argument("--no-pin", action="store_true", help="leave actors free instead of pinning one a core")
    parser.add_argument("--baseline", metavar="NAME[:VARIANT]", help=BASELINE)
    parser.add_argument("-o", "--output", metavar="DIR", help="where the parser file goes (default runs/DATE-TIME)")
    parser.add_argument("--json", metavar="FILE", help="write the whole parser as one JSON document, too; - for here")
    parser.add_argument("--resume", metavar="DIR", help="finish the parser in DIR as it was asked for")


def _run(options: argparse.Namespace) -> int:
    from allocmark import plugins
    from allocmark.measuring import runner
    from allocmark.output.text.progress import reporter
    from allocmark.output.text.run_table import render
    from allocmark.output.text.verified import verified
    from allocmark.results.summary import document

    host = plugins.load()
    if options.resume:
        given = [name for name in _OF_A_REQUEST if getattr(options, name)]
        if given:
            raise UsageError(f"--resume runs what was asked for then: leave {', '.join(given)} out")
        directory = Path(options.resume)
        _check_target(options.json, directory)
        plan, writer, request = runner.resume(host, directory)
    else:
        request = _request(options)
        directory = Path(options.output) if options.output else _fresh_directory()
        _check_target(options.json, directory)
        plan, writer = runner.start(request, host, directory, options.argv, options.baseline)
    with writer:
        for broken in host.broken:
            note(f"plugin {broken.plugin!r} ({broken.distribution}) is not used: it {broken.cause}")
        for text in plan.left_out:
            note(f"left out: {text}")
        with reporter(sys.stderr) as report:
            run = runner.execute(plan, request, host, writer, report)
    baseline = run.header.baseline
    whole = json.dumps(document(run, baseline), indent=1) + "\n" if options.json else ""
    if options.json == "-":
        sys.stdout.write(whole)
    else:
        print(verified(run) if request.verify else render(run, baseline, terminal_width()))
        print(f"\nrun file: {run.path}")
        if options.json:
            Path(options.json).write_text(whole)
    if run.end and run.end.interrupted:
        note(f"interrupted; what was measured is kept: `allocmark run --resume {run.path.parent}` finishes it")
        return INTERRUPTED
    return _outcome(run, request)


#: What says what to run, and so is not for --resume.
_OF_A_REQUEST = (
    *("workloads", "backend", "set", "short", "quick", "seed", "verify", "blocks", "sample_ms", "timeout"),
    *("no_pin", "no_latency", "no_reuse", "baseline", "output"),
)


def _request(options: argparse.Namespace) -> Request:
    from allocmark.measuring.request import Request

    request = Request(
        workloads=workload_names(options.workloads),
        backends=options.backend,
        overrides=assignments(options.set),
        short=options.short or options.quick or not options.workloads,
        seed=1 if options.seed is None else options.seed,
        verify=options.verify,
        pin=not options.no_pin,
        latency=not options.no_latency,
        reuse=not options.no_reuse,
        blocks=options.blocks or (15 if options.quick else Request.blocks),
        sample_ms=float(options.sample_ms or (10 if options.quick else Request.sample_ms)),
        timeout=float(options.timeout or Request.timeout),
    )
    if 2 * request.sample_ms > 1000 * request.timeout:
        raise UsageError(
            f"a sample of {request.sample_ms:g} ms needs more time than a cell may be silent ({request.timeout:g} s): "
            "raise --timeout"
        )
    return request


def _check_target(target: str | None, directory: Path) -> None:
    """That --json can be written in the end is made sure at the beginning. The run's own folder will be there."""
    from allocmark.results.store import FILE_NAME

    if target is None or target == "-":
        return
    folder = os.path.dirname(os.path.abspath(target))
    ours = folder == os.path.abspath(directory)
    if os.path.isdir(target):
        raise UsageError(f"--json {target}: is a folder, expected a file")
    if ours and os.path.basename(target) == FILE_NAME:
        raise UsageError(f"--json {target}: is the run file itself, choose another name")
    if ours and not os.path.exists(folder):
        return
    if not os.access(target if os.path.exists(target) else folder, os.W_OK):
        raise UsageError(f"--json {target}: cannot be written there")


def _outcome(run: Run, request: Request) -> int:
    """FAILED when a cell failed, nothing was measured, or a backend that was asked for by name ran nowhere."""
    cells = [cell for case in run.cases for cell in case.cells]
    asked = [cell for cell in cells if not cell.floor] or cells
    if any(cell.status == "failed" for cell in cells) or all(cell.status != "ok" for cell in asked):
        return FAILED
    ran = {name for cell in cells if cell.status == "ok" for name in (cell.backend, cell.label)}
    named = [name for name in request.backends if not set(name) & set("*?[")]
    return FAILED if any(name not in ran for name in named) else OK


def _fresh_directory() -> Path:
    from pathlib import Path

    base = Path("runs") / datetime.now().strftime("%Y%m%d-%H%M%S")
    number = 1
    path = base
    while path.exists():
        number += 1
        path = base.with_name(f"{base.name}-{number}")
    return path
