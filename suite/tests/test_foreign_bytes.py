# SPDX-License-Identifier: BSD-3-Clause
"""Paths with bytes that are no UTF-8 work as others do."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from support import setting

from allocmark.gate.revisions.wheel import digest
from allocmark.results.store import read_run
from allocmark.workload.language.find import BUNDLED

Command = Callable[..., "subprocess.CompletedProcess[str]"]

LATIN = os.fsdecode(b"caf\xe9")
CELL = ["--short", *setting(bulk=8, keep=128), "--blocks", "2", "--sample-ms", "1"]
SOURCE = """
#include <stdlib.h>
void *mine_malloc(size_t n) { return malloc(n); }
void mine_free(void *p) { free(p); }
"""


def test_a_workload_is_measured_and_its_run_resumed(allocmark_command: Command, tmp_path: Path) -> None:
    shutil.copy(BUNDLED / "burst.yaml", tmp_path / f"{LATIN}.yaml")
    done = allocmark_command("run", f"./{LATIN}.yaml", *CELL, "-b", "glibc", "--rounds", "2", "-o", "run")
    assert done.returncode == 0, done.stderr
    file = tmp_path / "run" / "run.jsonl"
    header, *_ = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(header)
    again = allocmark_command("run", "--resume", "run")
    assert again.returncode == 0, again.stderr
    run = read_run(file)
    assert not run.damage
    assert len(run.rounds[0]) == 2


def test_a_library_is_measured(allocmark_command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.c").write_text(SOURCE)
    library = tmp_path / LATIN / "libmine.so"
    library.parent.mkdir()
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "mine.c"], check=True)
    words = ["-b", f"so:{library}", "--prefix", "mine_", "--rounds", "1", "-o", "run"]
    done = allocmark_command("run", "burst", *CELL, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not read_run(tmp_path / "run").damage


def test_files_of_a_backend_have_a_digest(tmp_path: Path) -> None:
    (tmp_path / LATIN).symlink_to(LATIN)
    assert len(digest(tmp_path)) == 64
