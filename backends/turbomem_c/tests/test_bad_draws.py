# SPDX-License-Identifier: BSD-3-Clause
"""Bad draws: the summary of many processes, and two of them measured."""

from __future__ import annotations

import re
import subprocess
import sys

import bad_draws
import pytest


@pytest.mark.parametrize(
    ("costs", "p95"), [([1.0], 1.0), ([*range(1, 21)], 19), ([*range(1, 101)], 95), ([2.0] * 19 + [9.0], 2.0)]
)
def test_the_worst_in_twenty(costs, p95):
    assert bad_draws.percentile(costs, 0.95) == p95


def test_a_row_says_whether_the_target_holds():
    even, bad, ours = [1.0] * 100, [1.0] * 94 + [2.0] * 6, bad_draws.OURS
    assert bad_draws.row("burst", ours, even) == ["burst", ours, "100", "1.00", "1.00", "1.00", "holds"]
    assert bad_draws.row("burst", ours, bad)[3:] == ["1.00", "2.00", "2.00", "falls short"]
    assert bad_draws.row("burst", bad_draws.RIVAL, bad)[-1] == ""  # the target is ours
    assert bad_draws.row("burst", ours, [])[-1] == "nothing was measured"


@pytest.mark.alone
def test_a_table_of_two_processes():
    done = subprocess.run([sys.executable, bad_draws.__file__, "2"], capture_output=True, text=True, timeout=120)
    if done.returncode == 2:
        assert re.fullmatch(r"bad_draws: .* cannot run here: .*\n", done.stderr)
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    # Processes during which the distance between the cores changed are set aside.
    rows = re.findall(r"^\| (.+?) +\| (\S+) +\| [0-2] +\|", done.stdout, re.MULTILINE)
    assert [label for _, label in rows] == [bad_draws.OURS, bad_draws.RIVAL] * 4
    assert [title.split()[0] for title, _ in rows[::2]] == ["burst"] * 3 + ["cross_core_free"]
