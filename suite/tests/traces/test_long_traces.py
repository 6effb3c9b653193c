# SPDX-License-Identifier: BSD-3-Clause
"""A trace is a stream: what a recording and its replay need of memory does not grow with the calls."""

from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Runner = Callable[..., "subprocess.CompletedProcess[str]"]

_MOST_BYTES = 400 << 20  #: that a process may have for data
_MANY = """
#include <stdlib.h>
int main(int argc, char **argv) {
    static void *held[10000];
    unsigned draw = 1;
    for (long i = argc > 1 ? atol(argv[1]) : 1; i > 0; i--) {
        draw = draw * 1664525u + 1013904223u;
        void **place = &held[(draw >> 8) % 10000];
        free(*place);
        *place = malloc(16 + (draw >> 20) % 500);
    }
    return 0;
}
"""


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_hundred_million_calls_need_no_more_memory(allocmark_command: Runner, tmp_path: Path) -> None:
    """As events they would take 1.6 GB."""
    (tmp_path / "many.c").write_text(_MANY)
    subprocess.run(["cc", "-O2", "-fno-builtin", "-o", tmp_path / "many", tmp_path / "many.c"], check=True)
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_BYTES, limits[1]))
    try:
        recorded = allocmark_command("record", "-o", "many.trace", "--", tmp_path / "many", 50_000_000, timeout=400)
        words = ["-b", "glibc", "-b", "turbomem:base", "--rounds", "1", "-o", "run", "--json", "run.json"]
        replayed = allocmark_command("replay", "many.trace", *words, timeout=400)
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)
    assert "50,000,000 objects" in recorded.stdout, recorded.stderr
    assert replayed.returncode == 0, replayed.stderr
    cells = json.loads((tmp_path / "run.json").read_text())["cells"]
    assert [(cell["status"], cell["objects"]) for cell in cells] == [("ok", 50_000_000)] * 3
