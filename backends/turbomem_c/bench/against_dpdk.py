# SPDX-License-Identifier: BSD-3-Clause
"""TurboMem against the best of DPDK's own mempool handlers, cell by cell, and which targets hold.

``make bench-dpdk``, or ``python against_dpdk.py [PART ...] [--quick] [-o DIR]``. Each part is a run of its own
under DIR; one that was stopped goes on where it was, one that is there is only read. Ratios say how many times cheaper
TurboMem is (above 1 is better), in pairs and with 99 % intervals.

Whether a cell holds a target t is told by its blocks: by the median of (the handler's cost - t x TurboMem's), whose
99 % interval must not have 0 in it. That can be told where there is no ratio, too: of a net cost of 0 or less.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tabulate import tabulate

from allocmark import plugins, stats
from allocmark.errors import AllocmarkError
from allocmark.measuring import runner
from allocmark.measuring.request import Request
from allocmark.output.text.figures import assignments, figure, interval
from allocmark.output.text.progress import reporter
from allocmark.passes.latency import PERCENTILES
from allocmark.results.store import FILE_NAME, Run, read_run
from allocmark.results.summary import CaseSummary, CellSummary, summarise
from allocmark.stats import Estimate

OURS = "turbomem:thp"
NET, GROSS, MEAN, TAIL = 1.28, 1.0, 2.0, 10.0  # targets: times cheaper, and times shorter at p99.9
NOTHING = Estimate(0.0, 0.0, 0.0, 0, covered=False)  # sorts a cell without figures first
RIVAL_IN_TAIL = "dpdk_ring:ring_mp_mc-hugetlb"

ONE_CORE_EACH = {"rx": ["1"], "tx": ["1"]}
CELLS = Request(short=False, blocks=16, sample_ms=8.0)
PARTS = {
    "burst": replace(CELLS, workloads=["burst"], overrides={"off_ns": ["0"]}),
    "mixed_sizes": replace(CELLS, workloads=["mixed_sizes"]),
    # Many blocks: those in which the distance between the cores changed are set aside.
    "cross_core_free": replace(CELLS, workloads=["cross_core_free"], overrides=ONE_CORE_EACH, blocks=40),
    # Long blocks: objects come back after half a second, and a core changes hands every few milliseconds.
    "big_pool": replace(CELLS, workloads=["big_pool"], blocks=20, sample_ms=25.0, passes=["reuse"], timeout=120.0),
    "oversubscribed": replace(CELLS, workloads=["oversubscribed"], blocks=20, sample_ms=100.0, passes=["latency"]),
}
#: One or two cells of each part, to try this script.
QUICK = {
    "burst": replace(
        PARTS["burst"],
        overrides={"off_ns": ["0"], "touch": ["0"], "cores": ["1"], "cache": ["256"], "bulk": ["1", "32"]},
    ),
    "mixed_sizes": replace(
        PARTS["mixed_sizes"], overrides={"mix": ["imix"], "touch": ["0"], "bulk": ["32"], "cache": ["512"]}
    ),
    "cross_core_free": replace(
        PARTS["cross_core_free"], overrides=ONE_CORE_EACH | {"burst": ["32"], "touch": ["0"], "cache": ["256"]}
    ),
    "big_pool": replace(PARTS["big_pool"], overrides={"pools.mbuf.objects": ["131072"], "live": ["8192"]}, blocks=10),
    "oversubscribed": replace(PARTS["oversubscribed"], overrides={"keep": ["2048"]}, blocks=10, sample_ms=25.0),
}
#: What 2.4 GB each leave room for: DPDK's default and the two that keep the order of a stack.
BIG_POOL_RIVALS = ("ring_mp_mc-hugetlb", "stack-hugetlb", "lf_stack-hugetlb")


@dataclass(frozen=True)
class Row:
    """One cell of TurboMem's: how many times cheaper it is than the best handler there, and which targets hold."""

    case: CaseSummary
    cell: CellSummary
    gross: Estimate | None
    net: Estimate | None
    gross_holds: str
    net_holds: str

    @property
    def place(self) -> str:
        """The workload and its parameters."""
        return f"{self.cell.cell.workload} {assignments(self.cell.cell.parameters)}"


def times_cheaper(ratio: Estimate | None) -> Estimate | None:
    """The reciprocal of a ratio of costs; None where it is none, or has no interval."""
    if ratio is None or not ratio.covered:
        return None
    return Estimate(1 / ratio.value, 1 / ratio.high, 1 / ratio.low, ratio.n, covered=True)


def verdict(times: Estimate | None, target: float) -> str:
    """Whether the target holds."""
    if times is None or not times.covered or times.low < target <= times.high:
        return "cannot tell"
    return "holds" if times.low >= target else "falls short"


def holds(ours: Mapping[int, float], theirs: Mapping[int, float], target: float) -> str:
    """Whether theirs cost ``target`` times ours or more, by blocks that have both."""
    shared = [theirs[block] - target * ours[block] for block in ours if block in theirs]
    if len(shared) < 8:
        return "cannot tell"
    surplus = stats.estimate(shared, stats.RATIO_CONFIDENCE)
    return "holds" if surplus.low >= 0 else "falls short" if surplus.high < 0 else "cannot tell"


def handlers(host: plugins.Host) -> list[str]:
    """DPDK's own handlers on 2 MB pages; TurboMem's driver for DPDK is not one of them."""
    variants = (r.backend for r in host.backends if r.backend.name == "dpdk_ring")
    return [v.variant for v in variants if v.variant.endswith("-hugetlb") and "turbomem" not in v.variant]


def measured(part: str, folder: Path, host: plugins.Host, quick: bool) -> Run:
    """The part's run: read when it is there, finished when it was stopped, else made."""
    if (folder / FILE_NAME).exists():
        run = read_run(folder)
        if run.end and not run.end.interrupted:
            return run
        plan, writer, request = runner.resume(host, folder)
    else:
        rivals = BIG_POOL_RIVALS if part == "big_pool" else handlers(host)
        backends = [OURS, *(f"dpdk_ring:{variant}" for variant in rivals)]
        request = replace((QUICK if quick else PARTS)[part], backends=backends)
        family = ",".join(backends[1:])
        plan, writer = runner.start(request, host, folder, sys.argv, family)
    with writer, reporter(sys.stderr) as report:
        return runner.execute(plan, request, host, writer, report)


def rows_of(run: Run) -> list[Row]:
    """TurboMem's cells, against the best handler of each."""
    found = []
    for case in summarise(run):
        values = {cell.cell.label: cell.values for cell in case.cells}
        floor, theirs = values.get(case.floor or "", {}), values.get(case.baseline or "", {})
        for cell in case.cells:
            if cell.cell.label == OURS:
                gross_holds = holds(cell.values, theirs, GROSS)
                net_holds = holds(stats.net(cell.values, floor), stats.net(theirs, floor), NET)
                gross, net = times_cheaper(cell.ratio), times_cheaper(cell.net_ratio)
                found.append(Row(case, cell, gross, net, gross_holds, net_holds))
    return found


def cells(rows: Sequence[Row]) -> Iterator[str]:
    """Every cell, the worst first."""
    worst = sorted(rows, key=lambda row: (row.net or row.gross or NOTHING).value)
    table = [
        [
            figure(row.net),
            interval(row.net),
            row.net_holds,
            figure(row.gross),
            interval(row.gross),
            row.gross_holds,
            figure(row.cell.median),
            (row.case.baseline or row.cell.cell.reason or row.case.no_baseline or "").removeprefix("dpdk_ring:"),
            row.place,
        ]
        for row in worst
    ]
    heads = ["net", "99 %", f">= {NET}", "gross", "99 %", f">= {GROSS}", "ns/object", "best handler", "cell"]
    yield tabulate(table, heads, disable_numparse=True)


def targets(rows: Sequence[Row]) -> Iterator[str]:
    """How many cells hold each target, and the geometric means."""
    for what, said, target in (
        ("net", [r.net_holds for r in rows], NET),
        ("gross", [r.gross_holds for r in rows], GROSS),
    ):
        counts = ", ".join(f"{each} {said.count(each)}" for each in ("holds", "falls short", "cannot tell"))
        yield f"{what} >= {target} in every cell: {counts}, of {len(rows)} cells"
    nets, grosses = [row.net for row in rows], [row.gross for row in rows]
    for what, found in (("net", nets), ("gross", grosses)):
        known = [times for times in found if times]
        mean = stats.geometric_mean(known)
        aim = f" >= {MEAN}: {verdict(mean, MEAN)}" if what == "net" else ""
        yield f"geometric mean, {what}{aim}: {figure(mean)} {interval(mean)}, over {len(known)} of {len(rows)} cells"


def tail(run: Run) -> Iterator[str]:
    """Gets of TurboMem and of each handler with more threads than cores."""
    table = []
    for case in summarise(run):
        by_label = {cell.cell.label: cell for cell in case.cells}
        ours = by_label[OURS].cell.passes.get("latency")
        for label, cell in by_label.items():
            theirs = cell.cell.passes.get("latency")
            if theirs is None:
                continue
            shown = [theirs.get.percentiles[name] for name in PERCENTILES]
            ratio: Estimate | None = None
            if ours and label != OURS and not cell.cell.floor:
                ratio = stats.paired_ratio(theirs.get.by_block("99.9"), ours.get.by_block("99.9"))
            table.append(
                [
                    assignments(case.planned.parameters, ["keep"]),
                    label.removeprefix("dpdk_ring:"),
                    figure(cell.median),
                    *("few" if ns is None else f"{ns:,.0f}" for ns in shown),
                    figure(ratio),
                    interval(ratio),
                    verdict(ratio, TAIL) if label == RIVAL_IN_TAIL else "",
                ]
            )
    heads = ["", "backend", "ns/object", "get p50", "p99", "p99.9", "p99.99", "p99.9 / ours", "99 %", f">= {TAIL:g}"]
    yield tabulate(table, heads, disable_numparse=True)


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


def main() -> int:
    """Measure what is missing, print everything. Exit status 0; 2 when something cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; none: all")
    parser.add_argument("--quick", action="store_true", help="one or two cells of each part, to try it out")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="default runs/against-dpdk, or -quick")
    options = parser.parse_args()
    if unknown := [part for part in options.parts if part not in PARTS]:
        parser.error(f"no part is called {unknown[0]!r}; there are {', '.join(PARTS)}")
    folder = options.output or Path("runs") / ("against-dpdk-quick" if options.quick else "against-dpdk")
    host = plugins.load()
    runs: dict[str, Run] = {}
    try:
        for part in options.parts or PARTS:
            runs[part] = measured(part, folder / part, host, options.quick)
            if not (end := runs[part].end) or end.interrupted:
                print(f"interrupted in {part}: the same command goes on from here", file=sys.stderr)
                break
    except AllocmarkError as error:
        print(f"against_dpdk: {error}", file=sys.stderr)
        return 2
    compared = [row for part, run in runs.items() if part != "oversubscribed" for row in rows_of(run)]
    sections: list[tuple[str, Callable[[], Iterator[str]], bool]] = [
        (
            f"{OURS} against the best handler of each cell, worst first; above 1: cheaper",
            lambda: cells(compared),
            bool(compared),
        ),
        ("Targets", lambda: targets(compared), bool(compared)),
        ("More threads than cores, ns", lambda: tail(runs["oversubscribed"]), "oversubscribed" in runs),
        ("A pool of 2.2 GB: distinct per 1,000 objects got", lambda: pages(runs["big_pool"]), "big_pool" in runs),
    ]
    for title, lines, there in sections:
        if there:
            print(f"\n{title}\n", *lines(), sep="\n")
    print(f"\nrun files: {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
