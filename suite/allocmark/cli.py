# SPDX-License-Identifier: BSD-3-Clause
"""The command line: parses, calls, prints. Whatever is heavy is imported by the command that needs it."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from allocmark import __version__
from allocmark.errors import AllocmarkError, UsageError
from allocmark.export.command import add_export
from allocmark.report.terminal import columns
from allocmark.site.command import add_publish
from allocmark.site.report_command import add_report
from allocmark.track.command import add_track

if TYPE_CHECKING:
    from pathlib import Path

    from allocmark.run.request import Request
    from allocmark.run.store import Run

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

_BASELINE = "what the ratios compare with; with wildcards or commas: the fastest of those, in each group"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit status: 0 done, 1 something that was measured failed, 2 it cannot be done as asked."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        _prepare_streams()
        options = _parser().parse_args(arguments)
        options.argv = arguments
        status: int = options.command(options)
        sys.stdout.flush()
        return status
    except AllocmarkError as error:
        print(f"allocmark: {error}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:
        # The reader has seen enough. Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:
        print(f"allocmark: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED


def _prepare_streams() -> None:
    """A stream may be closed, or not know a character of a file's name: neither is worth a traceback."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # lives as long as the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see `{self.prog} --help`)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="allocmark",
        description="Measures memory allocators and memory pools with workloads written in YAML.",
    )
    parser.add_argument("--version", action="version", version=f"allocmark {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    run = commands.add_parser("run", help="measure backends on workloads")
    run.set_defaults(command=_run)
    run.add_argument(
        "workloads",
        nargs="*",
        metavar="WORKLOAD",
        help="name or file; none: the short form of every workload",
    )
    run.add_argument(
        "-b",
        "--backend",
        action="append",
        default=[],
        metavar="NAME[:VARIANT]",
        help="may be repeated, VARIANT may have wildcards; none: the default variant of every backend",
    )
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE[,VALUE...]",
        help="values of a sweep variable, or of a place in the file such as pools.mbuf.objects",
    )
    run.add_argument("--short", action="store_true", help="only the cells of each workload's short form")
    run.add_argument("--quick", action="store_true", help="short form, few and brief samples: a first look")
    run.add_argument("--seed", type=_seed, metavar="N", help="of everything random (default 1)")
    run.add_argument("--verify", action="store_true", help="stamp and check every object instead of measuring")
    run.add_argument("--no-latency", action="store_true", help="leave out the pass that times single calls")
    run.add_argument("--no-reuse", action="store_true", help="leave out the pass that counts pages and objects reused")
    run.add_argument("--blocks", type=_positive, metavar="N", help="samples of a cell (default 100)")
    run.add_argument("--sample-ms", type=_positive, metavar="MS", help="length of a sample (default 25)")
    run.add_argument("--timeout", type=_positive, metavar="S", help="a silent cell is ended (default 60)")
    run.add_argument("--no-pin", action="store_true", help="leave actors free instead of pinning one a core")
    run.add_argument("--baseline", metavar="NAME[:VARIANT]", help=_BASELINE)
    run.add_argument("-o", "--output", metavar="DIR", help="where the run file goes (default runs/DATE-TIME)")
    run.add_argument("--json", metavar="FILE", help="write the whole run as one JSON document, too; - for here")
    run.add_argument("--resume", metavar="DIR", help="finish the run in DIR as it was asked for")

    conform = commands.add_parser("conform", help="check that a backend keeps the contract of every backend")
    conform.set_defaults(command=_conform)
    conform.add_argument("backend", metavar="NAME[:VARIANT]", help="VARIANT may have wildcards; none: the default one")
    conform.add_argument("--json", action="store_true", help="for programs")

    listing = commands.add_parser("list", help="what there is: backends, workloads, probes")
    listing.set_defaults(command=_list)
    listing.add_argument("what", choices=["backends", "workloads", "probes"])
    listing.add_argument("--json", action="store_true", help="for programs")

    workloads = commands.add_parser("workloads", help="check and look at workload files")
    actions = workloads.add_subparsers(required=True, metavar="ACTION", parser_class=_Parser)
    check = actions.add_parser("check", help="validate files; nothing is run")
    check.set_defaults(command=_check)
    check.add_argument("files", nargs="+", metavar="FILE")
    cells = actions.add_parser("show", help="the cells that a workload expands to")
    cells.set_defaults(command=_show_cells)
    cells.add_argument("workload", metavar="NAME", help="name or file")
    cells.add_argument("--set", action="append", default=[], metavar="KEY=VALUE[,VALUE...]")
    cells.add_argument("--short", action="store_true", help="only the short form")
    schema = actions.add_parser("schema", help="the JSON schema of workload files, for editors")
    schema.set_defaults(command=_schema)

    show = commands.add_parser("show", help="the table of a run")
    show.set_defaults(command=_show)
    show.add_argument("run", metavar="RUN", help="run file or its folder")
    show.add_argument("--baseline", metavar="NAME[:VARIANT]", help=_BASELINE)
    show.add_argument("--json", action="store_true", help="the whole run as one JSON document")

    compare = commands.add_parser("compare", help="backends of one run, or two runs, worst first")
    compare.set_defaults(command=_compare)
    compare.add_argument("runs", nargs="+", metavar="RUN", help="one or two")
    compare.add_argument("--baseline", metavar="NAME[:VARIANT]", help=_BASELINE)

    add_track(commands)
    add_report(commands)
    add_export(commands)
    add_publish(commands)

    doctor = commands.add_parser("doctor", help="what this machine has, and what that means for measuring")
    doctor.set_defaults(command=_doctor)
    doctor.add_argument("--json", action="store_true", help="for programs")
    return parser


def _positive(text: str) -> int:
    value = int(text) if text.isdecimal() and len(text) < 7 else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a number from 1 to 999999")
    return value


def _seed(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a number of at most 18 digits")
    return int(text)


def assignments(items: Sequence[str]) -> dict[str, list[str]]:
    """What ``--set KEY=VALUE[,VALUE...]`` asks for. Raises UsageError."""
    overrides: dict[str, list[str]] = {}
    for item in items:
        key, equals, values = item.partition("=")
        if not equals or not key or not values:
            raise UsageError(f"--set {item}: expected KEY=VALUE, or KEY=VALUE,VALUE,... for several cells")
        if key in overrides:
            raise UsageError(f"--set {item}: {key} is set already; give several values as {key}=VALUE,VALUE")
        overrides[key] = values.split(",")
    return overrides


def _run(options: argparse.Namespace) -> int:
    from pathlib import Path

    from allocmark import plugins
    from allocmark.report.progress import reporter
    from allocmark.report.table import render
    from allocmark.report.verified import verified
    from allocmark.run import runner
    from allocmark.run.summary import document

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
            _note(f"plugin {broken.plugin!r} ({broken.distribution}) is not used: it {broken.cause}")
        for text in plan.left_out:
            _note(f"left out: {text}")
        with reporter(sys.stderr) as report:
            run = runner.execute(plan, request, host, writer, report)
    baseline = run.header.baseline
    whole = json.dumps(document(run, baseline), indent=1) + "\n" if options.json else ""
    if options.json == "-":
        sys.stdout.write(whole)
    else:
        print(verified(run) if request.verify else render(run, baseline, columns()))
        print(f"\nrun file: {run.path}")
        if options.json:
            Path(options.json).write_text(whole)
    if run.end and run.end.interrupted:
        _note(f"interrupted; what was measured is kept: `allocmark run --resume {run.path.parent}` finishes it")
        return INTERRUPTED
    return _outcome(run, request)


#: What says what to run, and so is not for --resume.
_OF_A_REQUEST = (
    *("workloads", "backend", "set", "short", "quick", "seed", "verify", "blocks", "sample_ms", "timeout"),
    *("no_pin", "no_latency", "no_reuse", "baseline", "output"),
)


def _request(options: argparse.Namespace) -> Request:
    from allocmark.run.request import Request
    from allocmark.workload.find import is_path

    request = Request(
        # A path is kept whole, so that the run can be resumed from another folder.
        workloads=[os.path.abspath(name) if is_path(name) else name for name in options.workloads],
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
    from allocmark.run.store import FILE_NAME

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
    cells = [cell for group in run.groups for cell in group.cells]
    asked = [cell for cell in cells if not cell.floor] or cells
    if any(cell.status == "failed" for cell in cells) or all(cell.status != "ok" for cell in asked):
        return FAILED
    ran = {name for cell in cells if cell.status == "ok" for name in (cell.backend, cell.label)}
    named = [name for name in request.backends if not set(name) & set("*?[")]
    return FAILED if any(name not in ran for name in named) else OK


def _fresh_directory() -> Path:
    from datetime import datetime
    from pathlib import Path

    base = Path("runs") / datetime.now().strftime("%Y%m%d-%H%M%S")
    number = 1
    path = base
    while path.exists():
        number += 1
        path = base.with_name(f"{base.name}-{number}")
    return path


def _note(text: str) -> None:
    print(f"allocmark: {text}", file=sys.stderr)


def _conform(options: argparse.Namespace) -> int:
    from allocmark import conformance, plugins
    from allocmark.report.listing import render
    from allocmark.report.progress import reporter
    from allocmark.run.schedule import Progress

    cases = conformance.cases(options.backend)
    rows = []
    with reporter(sys.stderr) as report:
        for number, case in enumerate(cases):
            report(Progress(number, len(cases), case.backend, str(case), 0, 1))
            result = case.run()
            rows.append({"backend": case.backend, "case": str(case), "verdict": result.status, "why": result.reason})
    versions = {each.backend.label: each.backend.version for each in plugins.load().backends}
    told = [{"backend": row["backend"], "version": versions[row["backend"]], **row} for row in rows]
    print(json.dumps(told, indent=1) if options.json else render(rows))
    verdicts = {row["verdict"] for row in rows}
    return OK if "passed" in verdicts and "failed" not in verdicts else FAILED


def _list(options: argparse.Namespace) -> int:
    from allocmark import plugins
    from allocmark.report import listing

    host = plugins.load()
    rows = {"backends": listing.backends, "workloads": listing.workloads, "probes": listing.probes}[options.what](host)
    print(json.dumps(rows, indent=1) if options.json else listing.render(rows))
    return OK


def _check(options: argparse.Namespace) -> int:
    from pathlib import Path

    from allocmark.errors import WorkloadError
    from allocmark.workload.compile import compile_workload
    from allocmark.workload.expand import Template

    status = OK
    for file in options.files:
        try:
            cells = Template.load(Path(file)).cells()
            for cell in cells:
                compile_workload(cell.workload, 1, file)
        except WorkloadError as error:
            print(f"allocmark: {error}", file=sys.stderr)
            status = USAGE
        else:
            print(f"{file}: good, {len(cells)} cells")
    return status


def _show_cells(options: argparse.Namespace) -> int:
    from allocmark import plugins
    from allocmark.report.listing import render
    from allocmark.workload.compile import compile_workload
    from allocmark.workload.find import find_workload

    template = find_workload(options.workload, plugins.load(only=()).workload_dirs)
    print(f"{template.name}: {template.summary}\nsource: {template.source}\n")
    rows = []
    for cell in template.cells(assignments(options.set), short=options.short):
        program = compile_workload(cell.workload, 1, str(template.path))
        rows.append(
            cell.parameters
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
    from allocmark.workload.schema import json_schema

    print(json.dumps(json_schema(), indent=2))
    return OK


def _read(path: str) -> tuple[Run, int]:
    from allocmark.run.store import read_run

    run = read_run(path)
    if run.torn is None:
        return run, OK
    _note(
        f"{run.path}:{run.torn}: cut off here; the {len(run.groups)} of {len(run.header.plan)} groups before it are "
        f"shown: `allocmark run --resume {run.path.parent}` finishes the run"
    )
    return run, USAGE


def _show(options: argparse.Namespace) -> int:
    from allocmark.report.table import render
    from allocmark.report.verified import verified
    from allocmark.run.summary import document

    run, status = _read(options.run)
    baseline = options.baseline or run.header.baseline
    if options.json:
        print(json.dumps(document(run, baseline), indent=1))
    elif run.header.settings.get("verify"):
        print(verified(run))
    else:
        print(render(run, baseline, columns()))
    return status


def _compare(options: argparse.Namespace) -> int:
    from allocmark.report.compare import compare

    if len(options.runs) > 2:
        raise UsageError(f"compare takes one or two runs, and {len(options.runs)} were given")
    read = [_read(path) for path in options.runs]
    print(compare([run for run, _ in read], options.baseline, columns()))
    return max(status for _, status in read)


def _doctor(options: argparse.Namespace) -> int:
    from allocmark import doctor

    checks = doctor.checks()
    print(json.dumps(doctor.as_json(checks), indent=1) if options.json else doctor.render(checks))
    return OK


if __name__ == "__main__":
    sys.exit(main())
