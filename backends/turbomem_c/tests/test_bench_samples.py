# SPDX-License-Identifier: BSD-3-Clause
"""The benchmarks of the library alone: a process for every round, and no interval from a few of them."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import samples


def test_a_table_of_two_rounds():
    command = [sys.executable, samples.HERE / "samples.py", "one_node", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^(plain|numa) +([\d.]+) +\((.*?)\)(?: +([\d.]+) +\((.*?)\))?$", done.stdout, re.MULTILINE)
    assert [name for name, *_ in rows] == ["plain", "numa"] * 4
    assert all(bool(ratio) == (name == "numa") for name, _, _, ratio, _ in rows)


@pytest.mark.parametrize(("rounds", "covered"), [(7, False), (8, False), (12, True)])
def test_an_interval_takes_as_many_rounds_as_its_confidence(rounds, covered):
    values = dict.fromkeys(range(rounds), 2.0)
    found = samples.ratio(values, dict.fromkeys(range(rounds), 1.0), 1)
    assert found is not None
    assert (found.value, found.n, found.covered) == (pytest.approx(2.0), rounds, covered)
