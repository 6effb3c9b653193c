# SPDX-License-Identifier: BSD-3-Clause
"""A repository with a history, and results as asv would have stored them: for the site's tests and its benchmark."""

from __future__ import annotations

import ast
import itertools
import json
import math
import random
import statistics
import subprocess
from pathlib import Path
from typing import Any

BACKENDS = ["null:default", "turbomem:thp", "dpdk_ring:ring_mp_mc-hugetlb", "glibc:default"]
WORKLOADS = ["burst", "cross_core_free", "mixed_sizes"]
MACHINE = {
    "machine": "bench1", "arch": "x86_64", "cpu": "AMD EPYC", "num_cpu": "2", "os": "Linux 6.1", "ram": "24 GiB",
    "version": 1,
}  # fmt: skip
COLUMNS = [
    *("result", "params", "version", "started_at", "duration", "stats_ci_99_a", "stats_ci_99_b"),
    *("stats_q_25", "stats_q_75", "stats_number", "stats_repeat", "samples", "profile"),
]
SLOWED = "turbomem:thp"  #: this backend is 10 % slower from the middle commit on
_FIRST = 1_700_000_000  # seconds since 1970; a commit an hour


def repository(folder: Path, commits: int) -> list[str]:
    """Make a git repository with so many commits of one file; their hashes, oldest first."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True)
    stream = []
    for number in range(commits):
        text, message = f"{number}\n", f"Change {number}"
        stream.append(
            f"commit refs/heads/main\ncommitter A <a@example.org> {_FIRST + 3600 * number} +0000\n"
            f"data {len(message)}\n{message}\nM 100644 inline file\ndata {len(text)}\n{text}\n"
        )
    git = ["git", "-C", str(folder)]
    subprocess.run([*git, "fast-import", "--quiet"], input="".join(stream), text=True, check=True)
    subprocess.run([*git, "reset", "-q", "--hard"], check=True)
    listed = subprocess.run([*git, "rev-list", "--reverse", "main"], capture_output=True, text=True, check=True)
    return listed.stdout.split()


def project(folder: Path, commits: int, cells: int = 24, samples: int = 10) -> list[str]:
    """A repository with asv.conf.json and results for each of its commits; the hashes, oldest first.

    ``cells`` is a multiple of 12: three workloads, four backends.
    """
    hashes = repository(folder, commits)
    configuration = {
        "version": 1, "project": "allocmark", "repo": ".", "branches": ["HEAD"], "environment_type": "virtualenv",
        "results_dir": ".asv/results", "html_dir": ".asv/html", "show_commit_url": "https://example.org/commit/",
    }  # fmt: skip
    (folder / "asv.conf.json").write_text(json.dumps(configuration))
    results = folder / ".asv/results"
    place = results / str(MACHINE["machine"])
    place.mkdir(parents=True)
    (place / "machine.json").write_text(json.dumps(MACHINE))
    benchmarks = {f"{workload}.time_object": _benchmark(workload, cells // 12) for workload in WORKLOADS}
    (results / "benchmarks.json").write_text(json.dumps(benchmarks | {"version": 2}))
    draw = random.Random(1)
    for number, name in enumerate(hashes):
        late = 2 * number >= commits
        rows = {bench: _row(each, late, samples, draw) for bench, each in benchmarks.items()}
        (place / f"{name[:8]}-virtualenv-py3.11.json").write_text(json.dumps(result_file(name, number, rows)))
    return hashes


def result_file(name: str, number: int, rows: dict[str, Any]) -> dict[str, Any]:
    """The members of a result file of the commit ``name``, the history's ``number``."""
    return {
        "commit_hash": name, "env_name": "virtualenv-py3.11", "date": 1000 * (_FIRST + 3600 * number),
        "params": {key: value for key, value in MACHINE.items() if key != "version"} | {"python": "3.11"},
        "python": "3.11", "requirements": {}, "env_vars": {}, "result_columns": COLUMNS, "results": rows,
        "durations": {}, "version": 2,
    }  # fmt: skip


def _benchmark(workload: str, values: int) -> dict[str, Any]:
    return {
        "name": f"{workload}.time_object", "param_names": ["backend", "bulk"], "type": "time", "unit": "seconds",
        "params": [[repr(each) for each in BACKENDS], [repr(2**power) for power in range(values)]],
        "version": f"1-{workload}", "code": "", "number": 1, "repeat": 1, "rounds": 10, "timeout": 120.0,
        "warmup_time": 0, "min_run_count": 2, "sample_time": 0.01, "setup_cache_key": None, "pretty_name": None,
    }  # fmt: skip


def _row(benchmark: dict[str, Any], late: bool, samples: int, draw: random.Random) -> list[Any]:
    taken = []
    for backend, bulk in itertools.product(*benchmark["params"]):
        level = 1e-9 * (1 + BACKENDS.index(ast.literal_eval(backend))) * (1 + 3 / int(bulk))
        level *= 1.1 if late and ast.literal_eval(backend) == SLOWED else 1.0
        taken.append([level * math.exp(draw.gauss(0, 0.01)) for _ in range(samples)])
    quarters = [statistics.quantiles(each) for each in taken]
    of_column = {
        "result": [statistics.median(each) for each in taken],
        "params": benchmark["params"],
        "version": benchmark["version"],
        "started_at": 1000 * _FIRST,
        "duration": 10.0,
        "stats_ci_99_a": [min(each) for each in taken],
        "stats_ci_99_b": [max(each) for each in taken],
        "stats_q_25": [quarter[0] for quarter in quarters],
        "stats_q_75": [quarter[2] for quarter in quarters],
        "stats_number": [1] * len(taken),
        "stats_repeat": [samples] * len(taken),
        "samples": taken,
    }
    return [of_column[name] for name in COLUMNS[:-1]]  # without a profile
