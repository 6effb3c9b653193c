# SPDX-License-Identifier: BSD-3-Clause
"""How long `allocmark report` takes, and how large its pages are.

    PYTHONPATH=suite .venv/bin/python -m proofs.report_speed RUN

Limits for a run of the default comparison: 2 s and 6 MB for the report, 1 MB for the overview page of a site without
its scripts. Exit status 1 when one is exceeded.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from allocmark import stats
from allocmark.output.html import build_site
from allocmark.results.store import read_run

ROUNDS = 9
MOST_SECONDS, MOST_REPORT, MOST_OVERVIEW = 2.0, 6_000_000, 1_000_000


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    run = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.html")
        seconds = []
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "allocmark", "report", run, "-o", report], check=True, stdout=subprocess.DEVNULL
            )
            seconds.append(time.perf_counter() - begin)
        build_site([read_run(run)], Path(folder, "site"))
        overview = Path(folder, "site", "index.html").stat().st_size
        size = report.stat().st_size
    took = stats.estimate(seconds, stats.MEDIAN_CONFIDENCE)
    held = took.high <= MOST_SECONDS and size <= MOST_REPORT and overview <= MOST_OVERVIEW
    print(f"report    {took.value:.2f} s [{took.low:.2f}, {took.high:.2f}], {size / 1e6:.2f} MB")
    print(f"overview  {overview / 1e3:.0f} kB")
    limits = f"{MOST_SECONDS:g} s, {MOST_REPORT / 1e6:g} MB, {MOST_OVERVIEW / 1e3:g} kB"
    print(f"{'within' if held else 'above'} the limits of {limits}")
    return not held


if __name__ == "__main__":
    sys.exit(main())
