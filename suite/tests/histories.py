# SPDX-License-Identifier: BSD-3-Clause
"""A git repository made for a test, with real commits of the example backend that does a stated amount of work."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "allocmark-freelist"
NOBODY = {f"GIT_{who}_{what}": "nobody" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
WORKLOAD = """
format: 1
name: one_by_one
summary: One core gets an object and puts it.
source: a test
pools:
  mbuf: {object_size: 64, objects: 1023, cache: 0}
actors:
  worker:
    - get: {from: mbuf, n: 1}
    - put: all
"""
# A chain of multiplications: each waits for the one before it, and none can be left out or done elsewhere.
_SPIN = """
    uint64_t number = n;
    for (uint32_t work = 0; work < WORK * n; work++) {
        number = number * 3 + 1;
        __asm__ volatile("" : "+r"(number));
    }
"""


class History:
    """``folder`` is the repository; its backend multiplies ``work`` times for each object got, most of its cost."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workload = folder.parent / "one_by_one.yaml"
        self.workload.write_text(WORKLOAD)
        self._number = 0
        folder.mkdir()
        self.git("init", "-q", "-b", "main", ".")

    def git(self, *arguments: str) -> str:
        """What the command prints."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**os.environ, **NOBODY},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        """A file of the working tree."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def backend(self, work: int, remark: str = "") -> None:
        """The backend in the working tree. ``remark`` changes its files and nothing that they do."""
        target = self.folder / "backends" / "freelist"
        ignored = shutil.ignore_patterns("*.so", "*.egg-info", "build", "__pycache__", "_native.c")
        shutil.copytree(EXAMPLE, target, dirs_exist_ok=True, ignore=ignored)
        source = target / "src" / "freelist.c"
        head = "static int freelist_get_bulk(void *pool, void *local, void **objects, uint32_t n) {\n"
        before, found, after = source.read_text().partition(head)
        assert found
        source.write_text(before + found + _SPIN.replace("WORK", str(work)) + after + f"/* {remark} */\n")

    def break_build(self) -> None:
        """A backend in the working tree that no compiler takes."""
        with (self.folder / "backends" / "freelist" / "src" / "freelist.c").open("a") as source:
            source.write("this is not C\n")

    def commit(self, subject: str) -> str:
        """Commits the working tree as it is; the hash."""
        self._number += 1
        self.write("NEWS", f"{self._number} {subject}\n")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", subject)
        return self.git("rev-parse", "HEAD")
