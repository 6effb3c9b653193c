# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark record``: write down what a program asks of malloc."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allocmark.cli.arguments import FAILED, OK, note, say
from allocmark.errors import UsageError
from allocmark.traces.trace_names import SUFFIX, is_trace

if TYPE_CHECKING:
    from allocmark.traces.recording import Process

_SHOWN = 20  # processes


def add_record(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser(
        "record",
        help="write down every malloc and free of a program, or read what a DPDK application wrote, for `replay`",
        usage="%(prog)s [-o FILE] -- COMMAND [ARGUMENT ...]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=_record)
    parser.add_argument("program", nargs="*", metavar="COMMAND", help="the program and its arguments")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="trace of the process that calls most (default: PROGRAM.trace)"
    )
    parser.add_argument(
        "--rescue", metavar="FOLDER", help="make traces of a FILE.recording that was left when `record` was killed"
    )
    parser.add_argument(
        "--dpdk",
        metavar="FOLDER",
        help="make a trace of what a DPDK application with --trace=lib.mempool.* wrote of its pools (default name: "
        "FOLDER.trace)",
    )


_DESCRIPTION = """\
Runs a program and writes down its calls of malloc, calloc, realloc, the aligned
forms and free: thread, size, alignment, order across threads, and time. A pair
of malloc and free takes about 30 ns longer. Each process has a trace of its own:
those made by fork and exec, too. A program that crashes leaves its trace. While
a process lives that the program left behind, as a daemon, the recording goes
on; Ctrl-C then ends the recording, and not the daemon.

Programs that bring a malloc of their own, statically linked ones and those with
more rights than the user are not recorded. CPython has an allocator for small
objects before malloc: record it with PYTHONMALLOC=malloc to see all of them.
"""

_EPILOG = """\
examples:
  allocmark record -- git log --oneline
      writes git.trace; then: allocmark replay git.trace
  allocmark record -o tests.trace -- env PYTHONMALLOC=malloc python3 -m unittest
  allocmark record -o build.trace -- make
      build.trace is of the process that calls most; build-others/ has the others
  allocmark record -o app.trace --dpdk rte-2026-11-30-PM-12-00-00
      the gets and puts of a DPDK application, which was started with --trace

exit status: 0 done; 1 the program failed, and its traces are written; 2 not
possible as asked
"""


def _record(options: argparse.Namespace) -> int:
    from allocmark.traces.recording import record, rescue

    output = _output(options.output)
    if options.rescue or options.dpdk:
        if options.program or (options.rescue and options.dpdk):
            raise UsageError("--rescue and --dpdk make traces of what was written: leave the rest out")
        if options.dpdk:
            return _from_dpdk(Path(options.dpdk), output)
        return _told(0, rescue(Path(options.rescue), output))
    if not options.program:
        raise UsageError("which program? for example: allocmark record -- git log")
    status, made = record(options.program, output or Path(Path(options.program[0]).name + SUFFIX), note)
    return _told(status, made)


def _output(name: str | None) -> Path | None:
    if name is not None and not is_trace(name):
        raise UsageError(f"-o {name}: expected a name that ends with {SUFFIX}, as `replay` does: -o {name}{SUFFIX}")
    return None if name is None else Path(name)


def _from_dpdk(folder: Path, output: Path | None) -> int:
    from allocmark.traces.mempools import from_dpdk

    found = from_dpdk(folder, output or Path(folder.resolve().name + SUFFIX))
    for stream in found.full:
        note(f"{stream}: full: the trace ends where it did, a larger --trace-bufsz of the application holds more")
    if found.put_unknown:
        note(f"{found.put_unknown:,} objects that were put are left out: they were not got in the trace")
    if found.failed:
        note(f"{found.failed:,} objects that were asked for are left out: the pool had fewer, so the get failed")
    say(f"pools: {', '.join(found.pools)}")
    return _told(0, [found.made])


def _told(status: int, made: Sequence[Process]) -> int:
    from allocmark.output.text.figures import significant

    if status:
        ended = f"was killed by signal {-status}" if status < 0 else f"ended with exit status {status}"
        note(f"the program {ended}; what it did until then is recorded")
    for each in made[:_SHOWN]:
        say(
            f"{each.path}: {' '.join(each.command)[:60]!a}, {each.objects:,} objects, {each.threads} "
            f"thread{'s' * (each.threads != 1)}, {significant(each.seconds)} s, at most "
            f"{significant(each.peak_live_bytes / 2**20)} MiB"
        )
        for text in _remarks(each):
            note(f"{each.path}: {text}")
    if len(made) > _SHOWN:
        say(f"… and {len(made) - _SHOWN} more processes, down to {made[-1].path}")
    if not made:
        raise UsageError(
            "nothing was recorded: the program is statically linked, has a malloc of its own, dropped LD_PRELOAD, "
            "or may write no file (ulimit -f)"
        )
    return FAILED if status else OK


def _remarks(process: Process) -> list[str]:
    found = []
    if process.stopped:
        found.append(f"the recording ended before the program: {process.stopped}")
    if process.unknown_frees:
        of = "its parent's objects" if process.inherited else "objects whose malloc was not seen"
        found.append(f"{process.unknown_frees:,} frees are left out: {of}")
    if process.missed_frees:
        found.append(f"{process.missed_frees:,} frees are added that were not seen")
    return found
