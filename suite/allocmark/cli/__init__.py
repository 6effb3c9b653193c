# SPDX-License-Identifier: BSD-3-Clause
"""The command line: parses, calls, prints. One file per command; a command imports what it needs when it runs."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from allocmark import __version__
from allocmark.cli.arguments import INTERRUPTED, OK, USAGE, Parser, note
from allocmark.cli.compare import add_compare
from allocmark.cli.conform import add_conform
from allocmark.cli.doctor import add_doctor
from allocmark.cli.export import add_export
from allocmark.cli.fleet import add_fleet
from allocmark.cli.list import add_list
from allocmark.cli.new_backend import add_new_backend
from allocmark.cli.publish import add_publish
from allocmark.cli.record import add_record
from allocmark.cli.replay import add_replay
from allocmark.cli.report import add_report
from allocmark.cli.run import add_run
from allocmark.cli.show import add_show
from allocmark.cli.size import add_size
from allocmark.cli.track import add_track
from allocmark.cli.validate import add_validate
from allocmark.cli.workloads import add_workloads
from allocmark.errors import AllocmarkError

#: In the order of `allocmark --help`.
COMMANDS = (
    add_run,
    add_size,
    add_record,
    add_replay,
    add_conform,
    add_new_backend,
    add_list,
    add_workloads,
    add_show,
    add_compare,
    add_track,
    add_report,
    add_export,
    add_publish,
    add_fleet,
    add_doctor,
    add_validate,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit status: 0 done, 1 something that was measured failed, 2 it cannot be done as asked."""
    arguments = [*(sys.argv[1:] if argv is None else argv)]
    try:
        _prepare_streams()
        options = _parser().parse_args(arguments)
        options.argv = arguments
        status: int = options.command(options)
        sys.stdout.flush()
        return status
    except AllocmarkError as error:
        note(str(error))
        return USAGE
    except BrokenPipeError:
        # The reader has seen enough. Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:
        note(f"{error.filename or 'output'}: {error.strerror}")
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED


def _prepare_streams() -> None:
    """No traceback when a stream is closed, or cannot encode a character of a file's name."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # lives as long as the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


_EPILOG = """\
`allocmark COMMAND --help` explains a command and its options.

first steps:
  allocmark doctor           is this machine fit for measuring?
  allocmark list backends    what can be measured here, and why something cannot
  allocmark run --quick      a first table of all backends
  allocmark run burst --short -b turbomem -b glibc --set bulk=32

exit status: 0 done; 1 something failed while it was measured; 2 not possible as
asked. `track gate` and `track bisect` have more: see their --help.
"""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="allocmark",
        description="Compares memory allocators and memory pools: which one should this workload\n"
        "use on this machine, and did the last commit make it slower?",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"allocmark {__version__}")
    commands = parser.add_subparsers(required=True, title="commands", metavar="COMMAND", parser_class=Parser)
    for add in COMMANDS:
        add(commands)
    return parser
