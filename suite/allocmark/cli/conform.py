# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark conform``: run the acceptance kit on one backend."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from allocmark.cli.arguments import FAILED, OK, note, seconds


def add_conform(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser(
        "conform",
        help="check that a backend loses no object and hands out none twice",
        epilog="The newest verdict on each variant is kept, and tables and pages of runs on this machine cite it.",
    )
    parser.set_defaults(command=_conform)
    parser.add_argument(
        "backend",
        metavar="NAME[:VARIANT]",
        help="without VARIANT the default one; may have wildcards; so:PATH and preload:PATH are libraries",
    )
    parser.add_argument("--prefix", default="", metavar="TEXT", help="what the functions of so:PATH begin with")
    parser.add_argument(
        "--budget",
        type=seconds,
        metavar="TIME",
        help="look for rare faults for this long, such as 30s or 10m, in each variant (default: 2s); how rare a fault "
        "that finds is said in the end",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def _conform(options: argparse.Namespace) -> int:
    from allocmark import conformance
    from allocmark.measuring.given import absolute, check_prefix
    from allocmark.measuring.schedule import Progress
    from allocmark.output.text.listing import render
    from allocmark.output.text.progress import reporter

    check_prefix(options.prefix, [options.backend])
    cases = conformance.cases(
        absolute(options.backend), options.budget or conformance.DEFAULT_BUDGET, prefix=options.prefix
    )
    rows = []
    builds: dict[str, list[Mapping[str, str]]] = {}
    with reporter(sys.stderr) as report:
        for number, case in enumerate(cases):
            report(Progress(number / len(cases), case.backend, str(case)))
            result = case.run()
            builds.setdefault(case.backend, []).append(result.builds)
            row = {"backend": case.backend, "version": case.version, "case": str(case)}
            rows.append({**row, "verdict": result.status, "why": result.reason, "calls": result.calls})
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        print(render([{key: row[key] for key in ("backend", "case", "verdict", "why")} for row in rows]))
        print("\n".join(conclusions(rows)))
    _keep(rows, builds)
    verdicts = {row["verdict"] for row in rows}
    return OK if "passed" in verdicts and "failed" not in verdicts else FAILED


def _by_backend(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["backend"], []).append(row)
    return found


def conclusions(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each variant: its verdict, and how rare a fault would have been found."""
    from allocmark.output.text.figures import counted
    from allocmark.output.text.wording import kit_power

    lines = []
    for backend, own in _by_backend(rows).items():
        verdicts = [row["verdict"] for row in own]
        failed, calls = verdicts.count("failed"), sum(row["calls"] for row in own)
        if failed:
            lines.append(f"{backend} failed {failed} of {len(own)} cases.")
        elif calls:
            refused = verdicts.count("refused")
            allowed = f" {counted(refused, 'case')} it refused, as it may." if refused else ""
            lines.append(
                f"{backend} passed {verdicts.count('passed')} of {len(own)} cases.{allowed} {kit_power(calls)}."
            )
    return lines


def _keep(rows: Sequence[Mapping[str, Any]], builds: Mapping[str, Sequence[Mapping[str, str]]]) -> None:
    """Where tables and pages find it. ``builds``: of each backend, what its cases were made with."""
    import msgspec

    from allocmark.output import write_whole
    from allocmark.results.kept_conformance import KeptVerdict, kept_verdicts, one_build, verdicts_file
    from allocmark.system.machine import facts

    machine = facts()["machine"]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    kept = kept_verdicts(machine)
    for backend, own in _by_backend(rows).items():
        verdicts = [row["verdict"] for row in own]
        if "passed" not in verdicts and "failed" not in verdicts:
            continue  # it cannot run here
        failed, run = verdicts.count("failed"), sum(verdict != "unavailable" for verdict in verdicts)
        calls = sum(row["calls"] for row in own)
        checked = one_build(builds[backend])
        kept[backend] = KeptVerdict(now, own[0]["version"], failed == 0, run, failed, calls, checked)
    try:
        file = verdicts_file(machine)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, msgspec.json.encode(kept).decode())
    except (OSError, RuntimeError) as error:
        note(f"not kept for tables and pages: {error}")
