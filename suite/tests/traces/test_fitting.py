# SPDX-License-Identifier: BSD-3-Clause
"""A workload that is fitted to a trace runs, and has what the trace has."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from support import assert_refused

from allocmark.traces.fitting import _sizes_apart, fitted, habits
from allocmark.traces.recording import record
from allocmark.traces.trace_file import Trace

Tracer = Callable[[str], Path]
Runner = Callable[..., "subprocess.CompletedProcess[str]"]

_HELD = 400
_KNOWN = f"""
#include <stdlib.h>
int main(void) {{
    static void *held[{_HELD}];
    unsigned draw = 1;
    for (int i = 0; i < 40000; i++) {{
        draw = draw * 1664525u + 1013904223u;
        const unsigned k = (draw >> 8) % {_HELD};
        free(held[k]);
        held[k] = malloc(draw >> 31 ? 200 : 48);
        if (i % 2) free(malloc(1000));
    }}
    return 0;
}}
"""


def test_what_is_known_of_a_program_is_found(trace_of: Tracer, tmp_path: Path, allocmark_command: Runner) -> None:
    path = trace_of(_KNOWN)
    with Trace(path) as trace:
        own = habits(trace)
    assert abs(own.held - _HELD) < 20
    assert own.crossing == 0
    assert {size: round(n / own.sizes.total(), 1) for size, n in own.sizes.items()} == {48: 0.3, 200: 0.3, 1000: 0.3}
    with Trace(path) as trace:
        fit = fitted(trace, "known")
    apart = {name: float(figure.rstrip("%")) for name, _, figure in fit.figures if "largest distance" in name}
    assert apart["sizes: largest distance of the distributions"] < 1
    assert apart["lifetimes: largest distance of the distributions"] < 20  # its runs of gets are not all of two
    done = allocmark_command("workloads", "from-trace", path)
    assert done.returncode == 0, done.stderr
    assert "release: random" in (tmp_path / "known.yaml").read_text()
    assert allocmark_command("workloads", "check", "known.yaml").returncode == 0
    ran = allocmark_command(
        "run", "./known.yaml", "-b", "turbomem:base", "--rounds", "1", "-o", "run", "--no-placement"
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert_refused(allocmark_command("workloads", "from-trace", path), "exists already")


def test_sizes_that_are_others_are_apart() -> None:
    assert _sizes_apart(Counter({16: 5}), Counter({4096: 5})) == 1.0
    assert _sizes_apart(Counter({16: 1, 32: 1}), Counter({16: 2})) == 0.5
    assert _sizes_apart(Counter({16: 1, 32: 3}), Counter({16: 2, 32: 6})) == 0.0


def test_frees_by_other_threads_cross_a_queue(allocmark_command: Runner, trace: Trace, tmp_path: Path) -> None:
    done = allocmark_command("workloads", "from-trace", trace.path, "-o", "crossing.yaml")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "crossing.yaml").read_text()
    assert "receive: {from: crossing}" in text
    shares = re.search(r"freed by another thread +([\d.]+)% +([\d.]+)%", done.stdout)
    assert shares
    assert abs(float(shares[1]) - float(shares[2])) < 5
    assert len(re.findall(r"^  p\d+: ", text, re.MULTILINE)) > 1  # of several sizes
    ran = allocmark_command("run", "./crossing.yaml", "-b", "glibc", "--verify")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_program_of_many_sizes_fits(tmp_path: Path, allocmark_command: Runner) -> None:
    record(["env", "PYTHONMALLOC=malloc", sys.executable, "-c", "import json"], tmp_path / "python.trace")
    done = allocmark_command("workloads", "from-trace", "python.trace")
    assert done.returncode == 0, done.stderr
    apart = re.search(r"sizes: largest distance of the distributions +([\d.]+)%", done.stdout)
    assert apart
    assert float(apart[1]) < 10
    assert allocmark_command("workloads", "check", "python.yaml").returncode == 0


def test_a_trace_that_frees_nothing_fits_nothing(trace_of: Tracer, tmp_path: Path, allocmark_command: Runner) -> None:
    path = trace_of("#include <stdlib.h>\nint main(void) { return !malloc(8); }\n")
    assert_refused(allocmark_command("workloads", "from-trace", path), "frees nothing")
    assert not (tmp_path / "known.yaml").exists()
