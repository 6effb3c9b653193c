# SPDX-License-Identifier: BSD-3-Clause
"""A backend whose table only the process of its cell may load."""

from __future__ import annotations

import pytest
from support import hook, make_plugin, setting

CELL = ["burst", *setting(bulk=8, keep=128, touch=0, off_ns=0, cores=1, cache=256, alive=0), "-b", "odd"]
QUICK = ["--rounds", "1", "--blocks", "1", "--sample-ms", "1", "--no-latency", "--no-reuse", "--no-placement"]

#: A function that says in which processes it is called.
LOAD = """
import os
from pathlib import Path

def load():
    with (Path(__file__).parent / "loaded").open("a") as seen:
        seen.write(f"{os.getpid()}\\n")
    return null_table()

"""


def test_it_is_loaded_in_the_process_of_its_cell_and_nowhere_else(allocmark_command, tmp_path):
    plugin = make_plugin(tmp_path / "lazy", "lazy", LOAD + hook("return [backend(table=None, load=load)]"))
    assert allocmark_command("list", "backends", plugins=[plugin]).returncode == 0
    assert not (plugin / "loaded").exists()
    done = allocmark_command("run", *CELL, *QUICK, plugins=[plugin])
    assert done.returncode == 0, done.stdout + done.stderr
    assert len((plugin / "loaded").read_text().split()) == 1  # a round of one cell


@pytest.mark.parametrize(
    ("load", "says"),
    [
        ("lambda: 1 / 0", "does not load: ZeroDivisionError: division by zero"),
        ("lambda: 4096", "does not load: table 0x1000 is not an address that can be read"),
        ("lambda: 'here'", "does not load: table 'here' is not the address of an allocmark_backend"),
    ],
)
def test_one_that_cannot_be_loaded_has_a_reason_in_its_row(allocmark_command, tmp_path, load, says):
    plugin = make_plugin(tmp_path / "lazy", "lazy", hook(f"return [backend(table=None, load={load})]"))
    done = allocmark_command("run", *CELL, *QUICK, plugins=[plugin])
    assert done.returncode == 1, done.stderr
    assert says in " ".join(done.stdout.split())
