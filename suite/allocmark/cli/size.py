# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark size``: how large pools and caches must be."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allocmark.cli.arguments import FAILED, OK, add_set, assignments, check_target, note, say, seed, workload_names
from allocmark.errors import UsageError

if TYPE_CHECKING:
    from allocmark.sizing.size_rows import CaseRows


def add_size(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser(
        "size",
        help="how large pools and caches must be: counted, so the same in every run",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=_size)
    parser.add_argument("workload", metavar="WORKLOAD", help="name (see `allocmark list workloads`) or YAML file")
    parser.add_argument(
        "-b",
        "--backend",
        action="append",
        default=[],
        metavar="NAME[:VARIANT]",
        help="backend to count; VARIANT may have wildcards; may be repeated (default: each in its default variant)",
    )
    add_set(parser)
    parser.add_argument(
        "--cache",
        type=_sizes,
        default=(),
        metavar="N[,N...]",
        help="sizes of the caches, in objects (default: 32,64,128,256,512 and those of the file)",
    )
    parser.add_argument("--seed", type=seed, default=1, metavar="N", help="number that random choices follow from")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument("--html", metavar="FILE", help="also write a page with the tables and a plot, for a browser")


_DESCRIPTION = """\
Counts, in the cases of the workload's short form, what pools and caches of
several sizes lead to: the smallest pool with which no get fails, how often
threads go to what all of them share, and how much memory is touched. The actors
take turns, a call each, so nothing depends on time or on the machine's load.
"""

_EPILOG = """\
examples:
  allocmark size two_cores
      all backends; on one core objects are got, on another they are put
  allocmark size burst -b dpdk_ring --set bulk=32 --cache 128,256,512
  allocmark size ./mine.yaml -b turbomem -b dpdk_ring --html size.html

exit status: 0 done; 1 a backend failed, or none could be counted; 2 not possible
as asked
"""


def _sizes(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if not all(word.isdecimal() and len(word) < 7 for word in words):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not numbers from 0 to 999999 with commas between them")
    return tuple(int(word) for word in words)


def _size(options: argparse.Namespace) -> int:
    from allocmark.discovery import discover
    from allocmark.measuring.request import Request
    from allocmark.output.text import terminal_width
    from allocmark.output.text.progress import reporter
    from allocmark.sizing.size_rows import case_rows
    from allocmark.sizing.size_table import document, legend, size_table
    from allocmark.sizing.sizing import count_sizes, plan_sizes

    (workload,) = workload_names([options.workload])
    _check_page(options.html, workload)
    request = Request(
        workloads=[workload],
        backends=options.backend,
        overrides=assignments(options.set),
        short=True,
        pin=False,  # actors in turns need no CPU each
        seed=options.seed,
    )
    host = discover()
    plan = plan_sizes(request, host)
    for broken in () if request.backends else host.broken:
        note(f"plugin {broken.plugin!r} ({broken.distribution}) is not used: it {broken.cause}")
    for text in plan.left_out:
        note(f"left out: {text}")
    cases, shown = [], []
    with reporter(sys.stderr) as report:
        for case in count_sizes(plan.cases, options.cache, request.timeout, report):
            cases.append(case)
            shown.append(case_rows(case))
            if not options.json:
                print(size_table(shown[-1], terminal_width()), end="\n\n", flush=True)
    print(json.dumps(document(cases), indent=1) if options.json else legend(terminal_width()))
    if options.html is not None:
        _write_page(options, shown)
    found = [backend for case in cases for backend in case.backends]
    counted = any(not size.refused for backend in found for size in backend.sizes)
    return OK if counted and all(backend.status != "failed" for backend in found) else FAILED


def _check_page(page: str | None, workload: str) -> None:
    """Refuse what could not be written when everything is counted, and the file that is read."""
    if page is None:
        return
    check_target(f"--html {page}", Path(page))
    if os.path.realpath(page) == os.path.realpath(workload):
        raise UsageError(f"--html {page}: is the workload itself, choose another name")


def _write_page(options: argparse.Namespace, cases: Sequence[CaseRows]) -> None:
    from allocmark.sizing.size_page import write_size_page

    write_size_page(cases, options.argv, Path(options.html))
    (note if options.json else say)(f"page: {options.html}")
