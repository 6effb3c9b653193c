# SPDX-License-Identifier: BSD-3-Clause
"""Repositories without Python: one allocmark.toml in the working tree, and the commits know nothing of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import assert_refused

from allocmark.gate.revisions.side import prepare
from fixtures.c_repository import CRepository
from fixtures.histories import History

pytestmark = pytest.mark.alone

# A pool without malloc's interface, and the table over it, which no commit has.
TABLE = """
#include <allocmark/backend.hpp>
#include <cstdlib>
#include "pool.h"

struct Heap {
    void *allocate(std::size_t bytes, std::size_t alignment) { return pool_aligned_alloc(alignment, bytes); }
    void deallocate(void *object, std::size_t, std::size_t) { pool_free(object); }
};
ALLOCMARK_BACKEND(stash, Heap)
"""
TABLE_RECIPE = """
build = [
    "make pool.o",
    "c++ -std=c++20 -O2 -shared -fPIC -pthread -I$ALLOCMARK_INCLUDE table.cpp pool.o -o stash.so",
]
files = ["table.cpp"]

[backend.stash]
library = "stash.so"
interface = "table"
any_size = true
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A repository with a blank and an umlaut in its path: fast, remark, broken, slow (more than twice the work)."""
    made = CRepository(tmp_path_factory.mktemp("library") / "pool with späces")
    commits = {}
    made.library(400)
    commits["fast"] = made.commit("a library")
    made.library(400, "Only its README changes.")
    commits["remark"] = made.commit("a remark")
    made.write("pool.c", '#include "pool.h"\nthis is not C\n')
    commits["broken"] = made.commit("does not build")
    made.library(1000)
    commits["slow"] = made.commit("search for the best fit")
    made.recipe(made.workload)
    return SimpleNamespace(made=made, folder=made.folder, **commits)


def test_a_planted_slow_commit_is_found_and_named(library, allocmark_command):
    """The gate says so, also in Markdown, and bisect names the commit and what does not build."""
    done = allocmark_command(
        "track", "bisect", library.fast, library.slow, "--limit", "50", cwd=library.folder, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # The commit before it does not build, so one of two it is.
    said = done.stdout
    assert f"{library.remark[:10]} good     same files as a good commit" in said
    (skipped,) = [line for line in said.splitlines() if line.startswith(library.broken[:10])]
    assert "skipped" in skipped
    assert "pool.c:2:1: error:" in skipped
    assert f"  {library.slow[:10]} search for the best fit" in said


def test_a_gate_comments_in_markdown(library, allocmark_command, tmp_path):
    file = tmp_path / "gate.md"
    done = allocmark_command(
        "track", "gate", library.fast, library.slow, "--limit", "50", "--markdown", file, cwd=library.folder
    )
    assert done.returncode == 1, done.stdout + done.stderr
    title, *lines = file.read_text().splitlines()
    assert title == "### allocmark gate: Slower: at least one cell is."
    (row,) = [line for line in lines if "`pool:default`" in line]
    cells = [each.strip() for each in row.strip("|").split("|")]
    assert cells[-1] == "**slower**"
    low, high = (float(each) for each in cells[5].strip("[]").split(","))
    assert 1.5 < low <= float(cells[4]) <= high
    assert library.made.git("status", "--porcelain") == "?? allocmark.toml"


def test_a_commit_that_does_not_build_is_not_measured(library, allocmark_command, tmp_path):
    file = tmp_path / "gate.md"
    done = allocmark_command("track", "gate", library.fast, library.broken, "--markdown", file, cwd=library.folder)
    assert done.returncode == 2
    for text in (done.stdout, file.read_text()):
        assert "pool.c:2:1: error:" in text


def test_a_table_is_laid_over_commits_that_do_not_have_it(library, tmp_path):
    clone = tmp_path / "clone"
    library.made.git("clone", "-q", str(library.folder), str(clone))
    (clone / "table.cpp").write_text(TABLE)
    (clone / "allocmark.toml").write_text(TABLE_RECIPE)
    side = prepare(clone, library.fast, tmp_path / "state")
    assert side.why_not("allocmark-stash") is None
    (found,) = [each for each in side.host.backends if not each.backend.floor]
    assert (found.backend.label, found.backend.capabilities.any_size) == ("stash:default", True)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("libpool.so", "libpond.so", "No rule to make target"),
        ('library = "libpool.so"', 'library = "pool.c"', "pool.c is no shared library"),
        ('library = "libpool.so"', 'library = "libpond.so"', "its build made no libpond.so"),
        ('"pool_"', '"pond_"', "pond_malloc"),
        ("make libpool.so", "exit 3", "exit 3: exit status 3"),
    ],
)
def test_a_build_that_gives_no_library_says_why(library, tmp_path, before, after, said):
    clone = tmp_path / "clone"
    library.made.git("clone", "-q", str(library.folder), str(clone))
    (clone / "allocmark.toml").write_text((library.folder / "allocmark.toml").read_text().replace(before, after))
    reason = prepare(clone, library.fast, tmp_path / "state").why_not("allocmark-pool")
    assert said in reason
    assert "\n" not in reason


def test_submodules_come_from_the_clone(library, tmp_path):
    vendor = History(tmp_path / "vendor")
    vendor.write("extra.h", "#define EXTRA 1\n")
    vendor.commit("a header")
    made = CRepository(tmp_path / "repository")
    made.library(400)
    made.git(
        "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(vendor.folder), "third party/vendor"
    )
    source = made.folder / "pool.c"
    source.write_text(f'#include "third party/vendor/extra.h"\n{source.read_text()}')
    commit = made.commit("with a submodule")
    made.recipe()
    assert prepare(made.folder, commit, tmp_path / "state").why_not("allocmark-pool") is None
    # A further working tree has its submodules in another place, and this one none.
    made.git("worktree", "add", "-q", str(tmp_path / "tree"))
    shutil.copy(made.folder / "allocmark.toml", tmp_path / "tree")
    assert prepare(tmp_path / "tree", commit, tmp_path / "state").why_not("allocmark-pool") is None
    made.git("clone", "-q", str(made.folder), str(tmp_path / "clone"))
    shutil.copy(made.folder / "allocmark.toml", tmp_path / "clone")
    reason = prepare(tmp_path / "clone", commit, tmp_path / "other").why_not("allocmark-pool")
    assert "extra.h: No such file or directory" in reason
    assert "the git submodule third party/vendor is not in this clone" in reason


def test_shallow_clones_and_a_detached_head(library, allocmark_command, tmp_path):
    clone = tmp_path / "clone"
    library.made.git("clone", "-q", "--depth", "1", library.folder.as_uri(), str(clone))
    library.made.git("-C", str(clone), "checkout", "-q", "--detach")
    shutil.copy(library.folder / "allocmark.toml", clone)
    done = allocmark_command("track", "gate", "HEAD", "HEAD", cwd=clone)
    assert done.returncode == 0, done.stderr
    assert_refused(allocmark_command("track", "gate", "HEAD~1", "HEAD", cwd=clone), "shallow")


def test_init_writes_a_recipe_once(allocmark_command, tmp_path):
    made = CRepository(tmp_path / "repository")
    made.library(400)
    made.commit("one")
    done = allocmark_command("track", "init", "pool", "--github", "-C", made.folder)
    assert done.returncode == 0, done.stderr
    assert prepare(made.folder, "HEAD", tmp_path / "state").why_not("allocmark-pool") is None
    assert (made.folder / ".github" / "workflows" / "gate.yml").is_file()
    assert_refused(allocmark_command("track", "init", "pool", "-C", made.folder), "allocmark.toml: exists already")
    assert_refused(allocmark_command("track", "init", "Pool", "-C", made.folder), "cannot be the name")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become nobody")
def test_nobody_without_a_compiler_can_do_the_rest(library, tmp_path):
    """No root, no compiler, no home: what needs one says so, and all else works."""
    tmp_path.chmod(0o755)
    for folder in [*tmp_path.parents][:3]:
        folder.chmod(0o755)
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    for tool in ("git", "sh", "make"):
        (home / "bin" / tool).symlink_to(shutil.which(tool))
    repository = home / "repository"
    library.made.git("clone", "-q", str(library.folder), str(repository))
    shutil.copy(library.folder / "allocmark.toml", repository)
    (repository / "allocmark.toml").write_text(
        (repository / "allocmark.toml").read_text().replace(str(library.made.workload), "burst")
    )
    for path in (home, *home.rglob("*")):
        if not path.is_symlink():
            os.chown(path, 65534, 65534)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "allocmark", *arguments],
            cwd=repository,
            env={"PATH": str(home / "bin"), "LANG": "C.UTF-8", "TMPDIR": str(home)},
            user=65534,
            group=65534,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    if run("--version").returncode:
        pytest.skip("nobody may not read this Python")
    listed = run("list", "backends")
    assert listed.returncode == 0, listed.stderr
    cell = ["--set", "bulk=8", "--set", "keep=128", "--rounds", "1", "--blocks", "2", "--sample-ms", "1"]
    measured = run("run", "burst", "--short", "-b", "null", *cell)
    assert measured.returncode == 0, measured.stderr
    gated = run("track", "gate", "HEAD", "HEAD")
    assert (gated.returncode, "Traceback" in gated.stderr) == (2, False)
    assert "cc: not found" in " ".join((gated.stdout + gated.stderr).split())
