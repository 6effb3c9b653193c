# SPDX-License-Identifier: BSD-3-Clause
"""`bench/testpmd.py`, as it is typed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

plugin = pytest.importorskip("allocmark_dpdk.plugin", reason="the backend dpdk_ring is not installed")
TOOL = Path(__file__).resolve().parents[1] / "bench" / "testpmd.py"

pytestmark = [
    pytest.mark.skipif(
        any(folder.stat().st_mode & 0o002 for folder in TOOL.parents),
        reason="DPDK loads nothing from below a folder that everyone may write to",
    ),
    pytest.mark.skipif(shutil.which("dpdk-testpmd") is None, reason="no dpdk-testpmd: apt-get install dpdk-dev"),
]


def tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(TOOL), *arguments], capture_output=True, text=True, timeout=200)


def test_packets_are_counted_for_each_handler():
    handlers = ["ring_mp_mc", "stack" if plugin._turbomem_driver() is None else "turbomem"]
    quick = ["--rounds", "1", "--seconds", "0.2", "--mbufs", "8191", "--no-huge"]
    done = tool(*handlers, "--only", "null-1", *quick)
    assert done.returncode == 0, done.stderr
    for handler in handlers:
        (rate,) = re.findall(rf"^null-1 +{handler} +([\d.]+)", done.stdout, flags=re.MULTILINE)
        assert float(rate) > 0  # and no interval, from one process
        assert re.search(rf"^null-1 +{handler} .* \d+\.\d %", done.stdout, flags=re.MULTILINE)


def test_a_handler_that_does_not_exist():
    done = tool("nonesuch", "--only", "null-1", "--no-huge")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"testpmd\.py: testpmd with nonesuch ended: .+\n", done.stderr)
