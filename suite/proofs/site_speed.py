# SPDX-License-Identifier: BSD-3-Clause
"""How long `allocmark publish` takes for histories of several lengths.

    PYTHONPATH=suite .venv/bin/python -m proofs.site_speed [COMMITS ...] [--cells 60]

The histories are made up (`suite/fixtures/synthetic.py`); the site is a real one, with asv's pages.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from allocmark.asv.publish_site import publish
from fixtures import synthetic


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commits", nargs="*", type=int, default=[50, 100, 200, 400], help="lengths of histories")
    parser.add_argument("--cells", type=int, default=60, help="cells per commit, a multiple of 12 (default 60)")
    options = parser.parse_args()
    print("commits  cells  seconds  ms/result    MiB")
    for commits in options.commits:
        with tempfile.TemporaryDirectory() as folder:
            synthetic.project(Path(folder), commits, options.cells)
            start = time.perf_counter()
            site = publish(Path(folder, "asv.conf.json")).folder
            seconds = time.perf_counter() - start
            size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) / 2**20
            each = 1000 * seconds / (commits * options.cells)
            print(f"{commits:7}  {options.cells:5}  {seconds:7.1f}  {each:9.2f}  {size:5.1f}", flush=True)


if __name__ == "__main__":
    main()
