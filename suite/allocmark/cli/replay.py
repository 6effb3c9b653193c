# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark replay``: a recorded program on every malloc."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allocmark.cli.arguments import add_baseline, add_prefix, positive, seconds, seed, workload_names

if TYPE_CHECKING:
    from allocmark.measuring.request import Request

_SLOWEST = 1e-5  # seconds that a call of a replay takes, in the mean, before it is given up


def add_replay(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser(
        "replay",
        help="measure every malloc, or pools, with what a program did: its time and its memory",
        usage="%(prog)s FILE ... [-b NAME[:VARIANT]] [OPTION ...]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=_replay)
    parser.add_argument(
        "traces",
        nargs="+",
        metavar="FILE",
        help="trace of `allocmark record`; or a bundled one: git, cpython, pipeline; or traces for all of these",
    )
    parser.add_argument(
        "-b",
        "--backend",
        action="append",
        default=[],
        metavar="NAME[:VARIANT]",
        help="backend to measure, as in `allocmark run`; may be repeated (default: every malloc that is installed; "
        "for a trace of DPDK's pools: every pool)",
    )
    add_prefix(parser)
    parser.add_argument(
        "--gaps",
        action="store_true",
        help="make each call when the program made it, and tell how late it was done (default: as fast as possible)",
    )
    add_baseline(parser)
    parser.add_argument("--rounds", type=positive, metavar="N", help="replays on each backend at most (default 60)")
    parser.add_argument(
        "--budget",
        type=seconds,
        metavar="TIME",
        help="end after so long, such as 90s, 10m or 2h, but not before each trace has the rounds that a verdict takes "
        "(default: no limit)",
    )
    parser.add_argument("--seed", type=seed, default=1, metavar="N", help="number that layouts in memory follow from")
    parser.add_argument("--no-pin", action="store_true", help="do not pin threads to CPUs")
    parser.add_argument(
        "--timeout", type=positive, metavar="S", help="end a replay that lasts so many seconds (default: by the trace)"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be measured, and how long it takes")
    parser.add_argument("-o", "--output", metavar="DIR", help="new folder for the run file (default runs/DATE-TIME)")
    parser.add_argument(
        "--json", metavar="FILE", help="also write samples and figures as one JSON document; -: print it, not the table"
    )


_DESCRIPTION = """\
Replays a recorded program on each backend: its threads, every call in its
order, and frees by other threads after their mallocs. A round is a fresh
process for each backend, which replays the trace once; intervals, ratios and
verdicts are those of `allocmark run`, as is the run file. The floor replays on
an allocator that does next to nothing: what the replay itself costs.

On a backend of pools, a program that calls malloc gets its objects from a pool
for each size class, and a DPDK application from pools like its own.

ns/object is the time from the trace's beginning to its end, divided by the
objects that were allocated; with --gaps it is the time in calls.
"""

_EPILOG = """\
examples:
  allocmark record -- git log
  allocmark replay git.trace
  allocmark replay git.trace -b glibc -b mimalloc --baseline glibc
  allocmark replay server.trace --gaps -b so:/opt/libfoo.so -b glibc

exit status: as `allocmark run`
"""


def _replay(options: argparse.Namespace) -> int:
    from allocmark.cli.run import run_request

    options.resume = None
    return run_request(_request(options), options)


def _request(options: argparse.Namespace) -> Request:
    from allocmark.errors import TraceError
    from allocmark.measuring.given import absolute, check_prefix
    from allocmark.measuring.replaying import PACES, find_traces
    from allocmark.measuring.request import LONGEST_TIMEOUT, Request
    from allocmark.passes import registry
    from allocmark.traces.trace_file import Trace

    check_prefix(options.prefix, options.backend)
    longest, kinds = 0.0, set()
    traces = [path for name in options.traces for path in find_traces(name)]
    for path in traces:
        with suppress(TraceError), Trace(Path(path)) as trace:  # planning tells of it
            kinds.add("pools" if trace.has_pools else "malloc")
            longest = max(longest, trace.about.nanoseconds / 1e9, trace.events * _SLOWEST)
    return Request(
        workloads=workload_names(traces),
        backends=[absolute(name) for name in options.backend],
        group="" if options.backend else kinds.pop() if len(kinds) == 1 else "all",
        prefix=options.prefix,
        overrides={"pace": [PACES[options.gaps]]},
        seed=options.seed,
        pin=not options.no_pin,
        passes=[each.name for each in registry.beside()],
        rounds=options.rounds or Request.rounds,
        blocks=1,
        budget=options.budget,
        timeout=float(options.timeout or min(LONGEST_TIMEOUT, max(Request.timeout, 2 * longest))),
    )
