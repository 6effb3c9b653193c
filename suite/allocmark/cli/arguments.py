# SPDX-License-Identifier: BSD-3-Clause
"""What several commands take: argument types, options, and the exit statuses."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from allocmark.errors import UsageError, printable

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

BASELINE = "backend that the ratios compare with; several, with commas or *: the fastest of them in each case"


class Parser(argparse.ArgumentParser):
    """argparse, with errors as `UsageError`. ``late`` adds arguments that need imports, when this parser is used."""

    late: Callable[[], None] | None = None

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]  # as argparse has it
        if self.late:
            self.late()
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:  # told here, where the command is known whose --help has the options
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see `{self.prog} --help`)")


def add_cells(parser: Any) -> None:
    """What to measure: workloads, backends, and values of their parameters."""
    parser.add_argument(
        "workloads",
        nargs="*",
        metavar="WORKLOAD",
        help="name of a workload or of a set (see `allocmark list workloads`) or YAML file (default: every workload "
        "meant for the default comparison, in its short form)",
    )
    parser.add_argument(
        "-b",
        "--backend",
        action="append",
        default=[],
        metavar="NAME[:VARIANT]",
        help="backend to measure (see `allocmark list backends`); VARIANT may have wildcards; so:PATH and preload:PATH "
        "are libraries with the malloc interface; may be repeated (default: each backend of the default comparison)",
    )
    add_set(parser)


def add_selection(parser: Any) -> None:
    """Which of the backends and cases to measure, and what they are compared with."""
    parser.add_argument(
        "--for",
        dest="group",
        choices=["malloc", "pools", "serving", "all"],
        default="",
        help="measure the backends that serve any size (malloc), those that serve pools of one size, or all of them "
        "(serving, all), also those that are not in the default comparison; without a WORKLOAD on the set of workloads "
        "of that name: known benchmarks of malloc, of pools, or the memory of systems that serve models",
    )
    add_prefix(parser)
    parser.add_argument("--short", action="store_true", help="only the few cases of each workload's short form")
    add_baseline(parser)


def add_prefix(parser: Any) -> None:
    parser.add_argument(
        "--prefix",
        default="",
        metavar="TEXT",
        help="what the functions of a library named with -b so:PATH begin with, such as je_ (default: malloc, free); "
        "others that are named and have plain names are measured by these",
    )


def add_baseline(parser: Any) -> None:
    parser.add_argument("--baseline", metavar="NAME[:VARIANT]", help=f"{BASELINE} (default: the first one measured)")


def add_set(parser: Any) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE[,VALUE...]",
        help="values for a parameter of the workload, or for a place in its file such as pools.mbuf.objects; each "
        "combination is a case; may be repeated (default: all values in the file)",
    )


def positive(text: str) -> int:
    value = int(text) if text.isdecimal() and len(text) < 7 else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a number from 1 to 999999")
    return value


def seconds(text: str) -> float:
    """``90s``, ``10m``, ``2h``; a number alone means minutes, as for a gate."""
    unit = {"s": 1.0, "m": 60.0, "h": 3600.0}.get(text[-1:])
    try:
        value = float(text if unit is None else text[:-1]) * (unit or 60.0)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e7:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a time such as 90s, 10m or 2h")
    return value


def seed(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a number of at most 18 digits")
    return int(text)


def assignments(items: Sequence[str]) -> dict[str, list[str]]:
    """The values that each ``--set KEY=VALUE[,VALUE...]`` gives to its key. Raises UsageError."""
    overrides: dict[str, list[str]] = {}
    for item in items:
        key, equals, values = item.partition("=")
        if not equals or not key or not values:
            raise UsageError(f"--set {item}: expected KEY=VALUE, or KEY=VALUE,VALUE,... for several cases")
        if key in overrides:
            raise UsageError(f"--set {item}: {key} is set already; give several values as {key}=VALUE,VALUE")
        overrides[key] = values.split(",")
    return overrides


def workload_names(names: Sequence[str]) -> list[str]:
    """Names as they are, paths made absolute: a run or a gate that was interrupted can go on from any folder."""
    from allocmark.workload.language.find import is_path

    return [os.path.abspath(name) if is_path(name) else name for name in names]


def check_target(option: str, target: str | os.PathLike[str]) -> None:
    """Refuse a file that could not be written when the work is done."""
    if os.path.isdir(target):
        raise UsageError(f"{option}: is a folder, expected a file")
    if not os.access(target if os.path.exists(target) else os.path.dirname(os.path.abspath(target)), os.W_OK):
        raise UsageError(f"{option}: cannot be written there")


def say(text: str) -> None:
    """One line on standard output: the name of a file may hold anything."""
    print(printable(text))


def note(text: str) -> None:
    """One line on standard error."""
    print(f"allocmark: {printable(text)}", file=sys.stderr)
