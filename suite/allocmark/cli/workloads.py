# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark workloads``: check and look at workload files."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from allocmark.cli.arguments import OK, USAGE, Parser, assignments


def add_workloads(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser("workloads", help="check and look at workload files")
    actions = parser.add_subparsers(required=True, metavar="ACTION", parser_class=Parser)
    check = actions.add_parser("check", help="validate files; nothing is run")
    check.set_defaults(command=_check)
    check.add_argument("files", nargs="+", metavar="FILE")
    cases = actions.add_parser("show", help="the cases that a workload expands to")
    cases.set_defaults(command=_show_cases)
    cases.add_argument("workload", metavar="NAME", help="name or file")
    cases.add_argument("--set", action="append", default=[], metavar="KEY=VALUE[,VALUE...]")
    cases.add_argument("--short", action="store_true", help="only the short form")
    schema = actions.add_parser("schema", help="the JSON schema of workload files, for editors")
    schema.set_defaults(command=_schema)


def _check(options: argparse.Namespace) -> int:
    from pathlib import Path

    from allocmark.errors import WorkloadError
    from allocmark.workload.language.expand import Template
    from allocmark.workload.tape.compile import compile_workload

    status = OK
    for file in options.files:
        try:
            cases = Template.load(Path(file)).cases()
            for case in cases:
                compile_workload(case.workload, 1, file)
        except WorkloadError as error:
            print(f"allocmark: {error}", file=sys.stderr)
            status = USAGE
        else:
            print(f"{file}: good, {len(cases)} cases")
    return status


def _show_cases(options: argparse.Namespace) -> int:
    from allocmark import plugins
    from allocmark.output.text.listing import render
    from allocmark.workload.language.find import find_workload
    from allocmark.workload.tape.compile import compile_workload

    template = find_workload(options.workload, plugins.load(only=()).workload_dirs)
    print(f"{template.name}: {template.summary}\nsource: {template.source}\n")
    rows = []
    for case in template.cases(assignments(options.set), short=options.short):
        program = compile_workload(case.workload, 1, str(template.path))
        rows.append(
            case.parameters
            | {
                "actors": ", ".join(actor.name for actor in program.actors),
                "objects a pass": sum(actor.objects * actor.passes for actor in program.actors),
                "held at once": " + ".join(f"{sum(actor.ring_capacity):,}" for actor in program.actors),
                "pools": f"{program.pool_bytes / 2**20:,.0f} MiB",
            }
        )
    print(render(rows))
    return OK


def _schema(options: argparse.Namespace) -> int:
    from allocmark.workload.language.schema import json_schema

    print(json.dumps(json_schema(), indent=2))
    return OK
