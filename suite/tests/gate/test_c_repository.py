# SPDX-License-Identifier: BSD-3-Clause
"""Repositories without Python: one allocmark.toml in the working tree, and the commits know nothing of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
from support import assert_refused

from allocmark.gate.revisions.side import prepare
from fixtures.c_repository import CRepository
from fixtures.histories import History

# A pool without malloc's interface, and the table over it, which no commit has.
TABLE = """
#include <allocmark/backend.hpp>
#include <cstdlib>
extern "C" {
#include "pool.h"
}

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
    """A repository with a blank and an umlaut in its path: fast, remark, broken, repaired, slow (twice the work)."""
    made = CRepository(tmp_path_factory.mktemp("library") / "pool with späces")
    commits = {}
    made.library(400)
    commits["fast"] = made.commit("a library")
    made.library(400, "Only its README changes.")
    commits["remark"] = made.commit("a remark")
    made.write("pool.c", '#include "pool.h"\nthis is not C\n')
    commits["broken"] = made.commit("does not build")
    made.library(400)
    commits["repaired"] = made.commit("builds again")
    made.library(1000)
    commits["slow"] = made.commit("search for the best fit")
    made.recipe(made.workload)
    return SimpleNamespace(made=made, folder=made.folder, **commits)


@pytest.mark.alone
def test_a_planted_slow_commit_is_named(library, allocmark_command):
    done = allocmark_command(
        "track", "bisect", library.fast, library.slow, "--limit", "50", cwd=library.folder, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert f"first slow commit: {library.slow[:10]} search for the best fit" in said
    assert f"{library.repaired[:10]} good     same files as a good commit" in said


def test_a_commit_between_that_does_not_build_is_skipped_with_its_error(library, allocmark_command):
    done = allocmark_command("track", "bisect", library.fast, library.repaired, cwd=library.folder)
    assert_refused(done, "is not slower than")
    side = prepare(library.folder, library.broken, library.folder / ".allocmark")
    assert side.why_not("allocmark-pool").startswith("pool.c:2:1: error:")


@pytest.mark.alone
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


def test_without_rights_and_a_compiler_the_rest_works(library, tmp_path):
    """No root, no compiler, no home: what needs one says so, and all else works."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("git", "sh", "make"):
        (tools / name).symlink_to(shutil.which(name))
    repository = tmp_path / "repository"
    library.made.git("clone", "-q", str(library.folder), str(repository))
    shutil.copy(library.folder / "allocmark.toml", repository)
    nobody = ["unshare", "--user"]  # a user who is nobody, and has no rights
    if subprocess.run([*nobody, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody make a user namespace")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [shutil.which("unshare"), *nobody[1:], sys.executable, "-m", "allocmark", *arguments],
            cwd=repository,
            env={"PATH": str(tools), "LANG": "C.UTF-8", "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    listed = run("list", "backends")
    assert listed.returncode == 0, listed.stderr
    cell = ["--set", "bulk=8", "--set", "keep=128", "--rounds", "1", "--blocks", "2", "--sample-ms", "1"]
    measured = run("run", "burst", "--short", "-b", "null", *cell, "-o", str(tmp_path / "run"))
    assert measured.returncode == 0, measured.stderr
    reported = run("report", str(tmp_path / "run"), "-o", str(tmp_path / "report.html"))
    assert reported.returncode == 0, reported.stderr
    gated = run("track", "gate", library.fast, library.slow)
    assert (gated.returncode, "Traceback" in gated.stderr) == (2, False)
    assert "cc: not found" in " ".join(
        (gated.stdout + gated.stderr).replace("No such file or directory", "not found").split()
    )
    begun = run("new-backend", "mine", "--kind", "malloc")
    assert (begun.returncode, "compiler" in begun.stderr) == (2, True)
