# SPDX-License-Identifier: BSD-3-Clause
"""TurboMem against the best of DPDK's own mempool handlers, cell by cell, and which targets hold.

``make bench-dpdk``, or ``python against_dpdk.py [PART ...] [--quick] [--release VERSION] [-o DIR]``: all parts take
about 75 minutes; each is a run of its own under DIR. One that was stopped goes on where it was, one that is there is
only read. Ratios say how many times cheaper TurboMem is (above 1 is better), round by round, with 99 % for all cells
together.

The summary at the end, with machine and date, is Markdown: README.md has one for each processor.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from dpdk_cells import GROSS, MEASURES, NET, NOT_MEASURED, OWN, Row, holds, mean, rows_of
from dpdk_parts import BIG_POOL, GRID, OURS, OVERSUBSCRIBED, PARTS, RIVAL, request
from tabulate import tabulate

from allocmark import stats
from allocmark.cli.arguments import seconds
from allocmark.discovery import discover
from allocmark.errors import AllocmarkError
from allocmark.measuring import runner
from allocmark.measuring.estimate import run_seconds
from allocmark.output.text.figures import assignments, figure, interval
from allocmark.output.text.progress import expected, reporter
from allocmark.output.text.wording import machine_facts
from allocmark.passes.latency import PERCENTILES
from allocmark.plugins import Host
from allocmark.results.store import FILE_NAME, Run, read_run
from allocmark.results.summary import ratios_of, summarise
from allocmark.stats import Estimate, Verdict

GROSS_TARGET, NET_TARGET, MEAN_TARGET, TAIL_TARGET = 1.0, 1.28, 2.0, 10.0  # times cheaper; times shorter at p99.9
TAIL = "99.9"
NOTHING = Estimate(0.0, 0.0, 0.0, 0, covered=False)  # sorts a cell without figures first
VERDICTS = (Verdict.FASTER, Verdict.SLOWER, Verdict.SAME, Verdict.CANNOT_TELL)


def measured(part: str, folder: Path, host: Host, options: argparse.Namespace) -> Run:
    """The part's run: read when it is there, finished when it was stopped, else made."""
    begun = (folder / FILE_NAME).exists()
    if begun and (run := read_run(folder)).end and not run.end.interrupted:
        return run
    asked = request(
        part,
        host,
        quick=options.quick,
        all_handlers=options.all_handlers,
        budget=options.budget,
        release=options.release,
    )
    if begun:
        plan, writer, asked = runner.resume(host, folder)
    else:
        plan, writer = runner.start(asked, host, folder, sys.argv, ",".join(asked.backends[1:]))
    cells = sum(cell.backend.unavailable is None for case in plan.cases for cell in case.cells)
    print(f"{part}: {expected(run_seconds(plan.cases, asked), len(plan.cases), cells)}", file=sys.stderr)
    with writer, reporter(sys.stderr) as report:
        return runner.execute(plan, asked, host, writer, report)


def measures(rows: Sequence[Row]) -> list[str]:
    """Those that were measured in one of the rows."""
    return [each for each in MEASURES if any(row.verdict(each) != NOT_MEASURED for row in rows)]


def cells(rows: Sequence[Row]) -> Iterator[str]:
    """Every cell, the worst first."""
    shown = measures(rows)
    table = []
    for row in sorted(rows, key=lambda row: (row.times(GROSS) or NOTHING).value):
        table.append(
            [text for each in shown for text in (figure(row.times(each)), interval(row.times(each)), row.verdict(each))]
            + [
                figure(row.cell.median),
                str(len(row.cell.values)),
                row.rival.cell.label.removeprefix("dpdk_ring:") if row.rival else row.case.no_baseline or "",
                row.place,
            ]
        )
    heads = [text for each in shown for text in (each, "99 %", "verdict")]
    yield tabulate(table, [*heads, "ns/object", "rounds", "best handler", "cell"], disable_numparse=True)


def targets(rows: Sequence[Row]) -> Iterator[str]:
    """In how many cells each target holds."""
    for measure, target in ((GROSS, GROSS_TARGET), (NET, NET_TARGET)):
        said = [holds(row.times(measure), target) for row in rows]
        counts = ", ".join(f"{each} {said.count(each)}" for each in ("holds", "falls short", "cannot tell"))
        yield f"{measure} >= {target} in every cell: {counts}, of {len(rows)} cells"
    net = mean(rows, NET)
    yield f"geometric mean, net >= {MEAN_TARGET}: {holds(net, MEAN_TARGET)}, {figure(net)} {interval(net)}"


def counts(rows: Sequence[Row]) -> Iterator[str]:
    """By each measure, how many cells have which verdict: ``gross: 120 faster, 3 slower, 45 cannot tell``."""
    for measure in MEASURES:
        said = [row.verdict(measure) for row in rows]
        found = [f"{n} {each}" for each in (*VERDICTS, NOT_MEASURED) if (n := said.count(each))]
        yield f"{measure}: {', '.join(found)}"


def summary(rows: Sequence[Row], run: Run) -> Iterator[str]:
    """Geometric means and verdicts of each part and of all, in Markdown, below where and when ``run`` was made."""
    versions = {c.backend: c.version for case in run.cases for c in case.cells if not c.floor and c.version}
    made = ", ".join(f"{name} {version}" for name, version in versions.items())
    yield f"**{machine_facts(run.header.environment)}**, {run.header.created[:10]}, {made}\n"
    parts = {part: [row for row in rows if row.cell.cell.workload == part] for part in GRID}
    table = []
    for part, found in [*parts.items(), ("all", rows)]:
        for measure in measures(found):
            times, said = mean(found, measure), [row.verdict(measure) for row in found]
            known = sum(row.times(measure) is not None for row in found)
            table.append(
                [part, measure, f"{known} of {len(found)}", f"{figure(times)} {interval(times)}"]
                + [str(said.count(each)) for each in VERDICTS]
            )
    heads = ["part", "by", "in the mean", "times cheaper, geometric mean", *VERDICTS]
    yield tabulate(table, heads, tablefmt="github", disable_numparse=True)
    if OWN not in measures(rows):
        yield f"\nown work and placement: {NOT_MEASURED}"


def tail(run: Run) -> Iterator[str]:
    """Gets of TurboMem and of each handler with more threads than cores."""
    summaries = summarise(run)
    ratios = ratios_of(run.header.plan)
    table = []
    for case in summaries:
        ours = slowest_gets(run, case.planned.case, OURS)
        for cell in case.cells:
            label, latency = cell.cell.label, cell.cell.passes.get("latency")
            if latency is None:
                continue
            theirs = slowest_gets(run, case.planned.case, label)
            logs = [stats.log_ratio(theirs[number], ours[number]) for number in ours if number in theirs]
            ratio: Estimate | None = None
            if label != OURS and not cell.cell.floor:
                ratio = stats.final_look(logs, ratios)
            shown = [latency.get.percentiles[name] for name in PERCENTILES]
            table.append(
                [
                    assignments(case.planned.parameters, ["keep"]),
                    label.removeprefix("dpdk_ring:"),
                    figure(cell.median),
                    *("few" if ns is None else f"{ns:,.0f}" for ns in shown),
                    figure(ratio),
                    interval(ratio),
                    holds(ratio, TAIL_TARGET) if label.startswith(RIVAL) else "",
                ]
            )
    heads = ["", "backend", "ns/object", *(f"get p{name}" for name in PERCENTILES)]
    heads += [f"p{TAIL} / ours", "99 %", f">= {TAIL_TARGET:g}"]
    yield tabulate(table, heads, disable_numparse=True)


def slowest_gets(run: Run, case: int, label: str) -> dict[int, float]:
    """The 99.9th percentile of a cell's gets, by round, where enough were timed."""
    return {
        each.round: ns
        for each in run.rounds[case]
        for cell in each.cells
        if cell.label == label and (latency := cell.passes.get("latency"))
        if (ns := latency.get.percentiles[TAIL])
    }


def pages(run: Run) -> Iterator[str]:
    """Distinct pages and objects per 1,000 objects got."""
    table = [
        [
            assignments(case.planned.parameters, ["live", "lifetime"]),
            cell.cell.label.removeprefix("dpdk_ring:"),
            *(f"{getattr(reuse, name):.1f}" for name in ("pages_2m", "pages_4k", "lines", "objects")),
            f"{reuse.all.pages_2m:,}",
        ]
        for case in summarise(run)
        for cell in case.cells
        if (reuse := cell.cell.passes.get("reuse"))
    ]
    heads = ["", "backend", "2 MB pages", "4 KB pages", "lines", "objects", "2 MB in all"]
    yield tabulate(table, heads, disable_numparse=True)


def sections(runs: dict[str, Run]) -> Iterator[tuple[str, Iterator[str]]]:
    """What is printed of the parts that are there."""
    grid = [run for part, run in runs.items() if part in GRID]
    rows = rows_of(grid)
    if rows:
        yield f"{OURS} against the best handler of each cell, worst first; above 1: cheaper", cells(rows)
    if BIG_POOL in runs:
        big = rows_of([runs[BIG_POOL]])
        yield "A pool of 2.2 GB", cells(big)
        yield "A pool of 2.2 GB: distinct per 1,000 objects got", pages(runs[BIG_POOL])
    if OVERSUBSCRIBED in runs:
        yield "More threads than cores, ns", tail(runs[OVERSUBSCRIBED])
    if rows:
        yield "Targets", targets(rows)
        yield "Summary", summary(rows, grid[-1])
        yield "Verdicts", counts(rows)


def main() -> int:
    """Measure what is missing, print everything. Exit status 0; 2 when something cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; none: all")
    parser.add_argument("--quick", action="store_true", help="a few cells of each part in 3 minutes, to try it out")
    parser.add_argument(
        "--all-handlers",
        action="store_true",
        help="every handler of DPDK, not only the likely best, in the grids of cells: takes far longer",
    )
    parser.add_argument(
        "--budget",
        type=seconds,
        metavar="TIME",
        help="end each part after so long, such as 90s or 20m (default: its own)",
    )
    parser.add_argument(
        "--release",
        default="",
        metavar="VERSION",
        help="of DPDK, as 26.07.0, whose folder ALLOCMARK_DPDK names (default: that which dpdk_ring is built with)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="default runs/against-dpdk, with -quick and the release"
    )
    options = parser.parse_args()
    if unknown := [part for part in options.parts if part not in PARTS]:
        parser.error(f"no part is called {unknown[0]!r}; there are {', '.join(PARTS)}")
    words = ["against-dpdk", "quick" if options.quick else "", options.release]
    folder = options.output or Path("runs") / "-".join(filter(None, words))
    host = discover()
    runs: dict[str, Run] = {}
    try:
        for part in dict.fromkeys(options.parts or PARTS):
            runs[part] = measured(part, folder / part, host, options)
            if not (end := runs[part].end) or end.interrupted:
                print(f"interrupted in {part}: the same command goes on from here", file=sys.stderr)
                break
    except AllocmarkError as error:
        print(f"against_dpdk: {error}", file=sys.stderr)
        return 2
    for title, lines in sections(runs):
        print(f"\n{title}\n", *lines, sep="\n")
    print(f"\nrun files: {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
