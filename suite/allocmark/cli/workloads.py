# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark workloads``: check workload files, list their cases, print their JSON schema."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from allocmark.cli.arguments import OK, USAGE, Parser, add_set, assignments, note, say


def add_workloads(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser(
        "workloads",
        help="check workload files, list their cases, print their JSON schema",
        description="A workload is a YAML file that says what threads (actors) do to pools of objects. A case is a "
        "workload with one set of parameters. `allocmark list workloads` lists the workloads themselves.",
    )
    actions = parser.add_subparsers(required=True, title="actions", metavar="ACTION", parser_class=Parser)
    check = _action(actions, "check", _check, "check every case of files and run nothing; errors name file and line")
    check.add_argument("files", nargs="+", metavar="FILE", help="YAML file")
    cases = _action(actions, "show", _show_cases, "list the cases of a workload: parameters, actors, objects, memory")
    cases.add_argument("workload", metavar="WORKLOAD", help="name or YAML file")
    add_set(cases)
    cases.add_argument("--short", action="store_true", help="only the cases of the short form")
    fit = _action(actions, "from-trace", _from_trace, "fit a workload to a recorded program, and say how well it fits")
    fit.add_argument("trace", metavar="FILE", help="trace of `allocmark record`")
    fit.add_argument("-o", "--output", metavar="FILE", help="workload file (default: NAME.yaml, by the trace's name)")
    _action(actions, "schema", _schema, "print the JSON schema of workload files, for editors")


def _action(actions: Any, name: str, command: Callable[[argparse.Namespace], int], text: str) -> Any:
    parser = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(command=command)
    return parser


def _check(options: argparse.Namespace) -> int:
    from pathlib import Path

    from allocmark.errors import WorkloadError
    from allocmark.output.text.figures import counted
    from allocmark.workload.language.expand import Template
    from allocmark.workload.tape.compile import check_workload

    status = OK
    for file in options.files:
        try:
            cases = Template.load(Path(file)).cases()
            played = set()
            for case in cases:
                # What actors do does not depend on the caches.
                pools = {name: pool.model_copy(update={"cache": 0}) for name, pool in case.workload.pools.items()}
                same = repr(case.workload.model_copy(update={"pools": pools}))
                if same not in played:
                    check_workload(case.workload, 1, file)
                    played.add(same)
        except WorkloadError as error:
            note(str(error))
            status = USAGE
        else:
            say(f"{file}: good, {counted(len(cases), 'case')}")
    return status


def _from_trace(options: argparse.Namespace) -> int:
    from pathlib import Path

    from allocmark.errors import UsageError
    from allocmark.output.text import terminal_width
    from allocmark.output.text.figures import layout
    from allocmark.traces.fitting import fitted, workload_name
    from allocmark.traces.trace_file import Trace
    from allocmark.workload.language.expand import Template
    from allocmark.workload.tape.compile import compile_workload

    given = Path(options.trace)
    output = Path(options.output) if options.output else Path(f"{workload_name(given.stem)}.yaml")
    if output.exists():
        raise UsageError(f"{output}: exists already: name another file with -o, or delete it")
    with Trace(given) as trace:
        trace.check()
        fit = fitted(trace, workload_name(output.stem))
    for case in Template.parse(fit.text, output).cases():
        compile_workload(case.workload, 1, str(output))
    output.write_text(fit.text)
    rows = [list(row) for row in fit.figures]
    print(layout(["", "trace", "workload"], rows, {"trace", "workload"}, terminal_width()))
    print()
    say(f"{output}: `allocmark run {output}` measures it")
    return OK


def _show_cases(options: argparse.Namespace) -> int:
    from allocmark import plugins
    from allocmark.errors import printable
    from allocmark.output.text.listing import render
    from allocmark.workload.language.find import find_workload
    from allocmark.workload.tape.compile import compile_workload

    template = find_workload(options.workload, plugins.load_entries(()).workload_dirs)
    rows = []
    for case in template.cases(assignments(options.set), short=options.short):
        program = compile_workload(case.workload, 1, str(template.path))
        rows.append(
            case.parameters
            | {
                "actors": ", ".join(actor.name for actor in program.actors),
                "objects per unit": sum(actor.objects * actor.iterations for actor in program.actors),
                "held at once": " + ".join(f"{sum(actor.ring_capacity):,}" for actor in program.actors),
                "pools": f"{program.pool_bytes / 2**20:,.0f} MiB",
            }
        )
    print(printable(f"{template.name}: {template.summary}"), printable(f"source: {template.source}"), "", sep="\n")
    print(render(rows))
    return OK


def _schema(options: argparse.Namespace) -> int:
    from allocmark.workload.language.schema import json_schema

    print(json.dumps(json_schema(), indent=2))
    return OK
