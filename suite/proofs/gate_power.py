# SPDX-License-Identifier: BSD-3-Clause
"""Shows which slowdowns `allocmark track gate` finds on this machine, and how often it raises a false alarm.

Commits the example backend with slowdowns of known size in its get, and gates each commit several times, the sizes in
turns. Prints one line per gate, then a table.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tabulate import tabulate

from allocmark.gate.gate import Gate, gate
from allocmark.gate.rounds import GateRequest, cells_of
from allocmark.stats import Verdict
from fixtures.histories import History

WORK = 60  #: of the first commit, per object got; see `fixtures.histories`


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", default=["burst", "mixed_sizes"], metavar="WORKLOAD")
    parser.add_argument("--tries", type=int, default=10, metavar="N", help="gates per size (default 10)")
    parser.add_argument(
        "--planted", default="0,2,5,10", metavar="PERCENT,...", help="sizes of the slowdowns (default 0,2,5,10)"
    )
    parser.add_argument(
        "--budget", type=float, default=10.0, metavar="MINUTES", help="longest time for one gate (default 10)"
    )
    options = parser.parse_args()
    request = cells_of(workloads=options.workloads, short=True)
    planted = [float(each) for each in options.planted.split(",")]

    with tempfile.TemporaryDirectory(prefix="allocmark-") as folder:
        history = History(Path(folder, "repository"))
        base = _commit(history, WORK)

        def judge(head: str) -> Gate:
            return gate(GateRequest(history.folder, request, minutes=options.budget, unchanged=True), base, head)

        # Measures how much of a cell's cost is work, to know the size of what is planted.
        double = judge(_commit(history, 2 * WORK))
        shares = {row.tally.pair.key: row.ratio.value - 1 for row in double.rows if row.ratio}
        print(
            "share of work in the cost of each cell:",
            ", ".join(f"{share:.0%}" for share in shares.values()),
            flush=True,
        )
        if not shares:
            parser.error("--budget is too small: no cell had enough rounds for a ratio")
        least, most = min(shares.values()), max(shares.values())
        mean = sum(shares.values()) / len(shares)
        works = {size: WORK + round(size / 100 * WORK / mean) for size in planted}
        heads = {size: _commit(history, work) for size, work in works.items()}

        said: dict[float, Counter[str]] = {size: Counter() for size in planted}
        status: dict[float, Counter[int]] = {size: Counter() for size in planted}
        for number in range(options.tries):
            for size in planted:
                begun = time.monotonic()
                done = judge(heads[size])
                said[size] += Counter(str(row.verdict) for row in done.rows)
                status[size][done.status] += 1
                cells = " ".join(
                    f"{row.ratio.value:.3f}[{row.ratio.low:.3f},{row.ratio.high:.3f}]/{len(row.tally.used())}"
                    for row in done.rows
                    if row.ratio
                )
                print(f"{number} {size:g} % exit {done.status} {time.monotonic() - begun:.0f} s {cells}", flush=True)
    rows = [
        [
            f"{size:g} %",
            " to ".join(f"{100 * share * (works[size] - WORK) / WORK:.1f}" for share in (least, most)) + " %",
            *(said[size][verdict] for verdict in Verdict),
            *(status[size][code] for code in range(4)),
        ]
        for size in planted
    ]
    headers = ["asked", "planted", *(f"cells {verdict}" for verdict in Verdict), *(f"gates exit {n}" for n in range(4))]
    print(tabulate(rows, headers))
    return 0


def _commit(history: History, work: int) -> str:
    # With a new remark, so that a commit with the same work is built again.
    history.backend(work, f"{work} {time.monotonic_ns()}")
    return history.commit(f"{work} of work")


if __name__ == "__main__":
    sys.exit(main())
