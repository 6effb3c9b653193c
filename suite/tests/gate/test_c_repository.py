# SPDX-License-Identifier: BSD-3-Clause
"""Repositories without Python: one allocmark.toml in the working tree, and the commits know nothing of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
from support import assert_refused

from allocmark.errors import UsageError
from allocmark.gate.revisions import build_libraries
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


@pytest.mark.long  # test_bisect.py finds one, in another kind of repository; a gate on this kind follows
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


def test_a_submodule_that_was_a_repository_before(library, tmp_path):
    made = CRepository(tmp_path / "repository")
    made.library(400)
    vendor = History(made.folder / "vendor")
    vendor.write("extra.h", "#define EXTRA 1\n")
    vendor.commit("a header")
    made.write(".gitmodules", '[submodule "vendor"]\n\tpath = vendor\n\turl = ./vendor\n')
    source = made.folder / "pool.c"
    source.write_text(f'#include "vendor/extra.h"\n{source.read_text()}')
    commit = made.commit("with its own .git")
    made.recipe()
    assert prepare(made.folder, commit, tmp_path / "state").why_not("allocmark-pool") is None


def test_a_sparse_working_tree_builds_whole_commits(library, tmp_path):
    made = CRepository(tmp_path / "repository")
    made.library(400)
    made.write("extra/extra.h", "#define EXTRA 1\n")
    source = made.folder / "pool.c"
    source.write_text(f'#include "extra/extra.h"\n{source.read_text()}')
    commit = made.commit("two folders")
    made.git("sparse-checkout", "set", "--no-cone", "/*", "!/extra")
    assert not (made.folder / "extra").exists()
    made.recipe()
    assert prepare(made.folder, commit, tmp_path / "state").why_not("allocmark-pool") is None


def test_what_a_commit_has_in_the_place_of_a_file_that_is_laid_over_it_goes(tmp_path):
    """A link of an old commit must not lead what is written out of the folder."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.h").write_text("precious")
    made = CRepository(tmp_path / "repository")
    made.library(400)
    (made.folder / "bench").symlink_to(outside)
    (made.folder / "table.c").symlink_to(outside / "x.h")
    made.write("plain", "a file\n")
    made.write("other.c/inside", "a folder\n")
    commit = made.commit("in the way")
    made.git("rm", "-rq", "bench", "table.c", "plain", "other.c")
    for name in ("bench/x.h", "table.c", "plain/x.h", "other.c"):
        made.write(name, "new\n")
    (made.folder / "bench" / "dangling").symlink_to("nowhere")
    made.recipe()
    recipe = made.folder / "allocmark.toml"
    text = recipe.read_text().replace(
        "make libpool.so", "grep -h new bench/x.h table.c plain/x.h other.c && make libpool.so"
    )
    recipe.write_text('files = ["bench", "table.c", "plain/x.h", "other.c"]\n' + text)
    assert prepare(made.folder, commit, tmp_path / "state").why_not("allocmark-pool") is None
    assert [(each.name, each.read_text()) for each in outside.iterdir()] == [("x.h", "precious")]
    os.mkfifo(made.folder / "bench" / "pipe")
    with pytest.raises(UsageError, match="bench/pipe: is no file"):
        prepare(made.folder, made.git("rev-parse", "HEAD"), tmp_path / "other")


@pytest.mark.parametrize(
    ("build", "said"),
    [
        ("head -c 9000000 /dev/zero | tr '\\0' x; exit 1", "xxx…"),
        ("echo 'a.c:1:1: error: the first'; yes | head -c 20000000; exit 1", "a.c:1:1: error: the first"),
        ("yes | head -c 20000000; echo 'a.c:9:9: error: the last'; exit 1", "a.c:9:9: error: the last"),
    ],
)
def test_a_build_that_prints_a_lot_says_its_error(library, tmp_path, build, said):
    clone = tmp_path / "clone"
    library.made.git("clone", "-q", str(library.folder), str(clone))
    recipe = (library.folder / "allocmark.toml").read_text()
    (clone / "allocmark.toml").write_text(recipe.replace('"make libpool.so"', f"'''{build} '''"))
    reason = prepare(clone, library.fast, tmp_path / "state").why_not("allocmark-pool")
    assert said in reason
    assert len(reason) < 1000


def test_a_build_that_never_stops_printing_is_stopped(library, tmp_path, monkeypatch):
    monkeypatch.setattr(build_libraries, "_MOST_PRINTED", 1 << 20)
    clone = tmp_path / "clone"
    library.made.git("clone", "-q", str(library.folder), str(clone))
    recipe = (library.folder / "allocmark.toml").read_text()
    (clone / "allocmark.toml").write_text(recipe.replace("make libpool.so", "yes"))
    assert "printed more than 1 MB" in prepare(clone, library.fast, tmp_path / "state").why_not("allocmark-pool")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("int nothing;", "allocmark_stash_table"),
        ('extern "C" const void *allocmark_stash_table() { return nullptr; }', "exactly one of table"),
        ("__attribute__((constructor)) static void boom() { __builtin_trap(); }", "plugin is not used: it "),
    ],
)
def test_a_table_that_cannot_be_used_says_why(library, allocmark_command, tmp_path, code, said):
    clone = tmp_path / "clone"
    library.made.git("clone", "-q", str(library.folder), str(clone))
    (clone / "table.cpp").write_text(code)
    (clone / "allocmark.toml").write_text(TABLE_RECIPE)
    done = allocmark_command("track", "gate", library.fast, library.slow, cwd=clone)
    assert done.returncode == 2
    assert said in " ".join(done.stdout.split())


def test_a_library_that_needs_another_one_of_its_build_is_told_when_it_is_built(library, tmp_path):
    """CMake and libtool write the folder of the build into it, which is there while it is built and not later."""
    clone = tmp_path / "clone"
    library.made.git("clone", "-q", str(library.folder), str(clone))
    build = "make pool.o && cc -shared -o libinner.so pool.o && cc -shared -o libpool.so pool.o -Wl,--no-as-needed"
    recipe = (library.folder / "allocmark.toml").read_text()
    (clone / "allocmark.toml").write_text(recipe.replace("make libpool.so", f"{build} -L. -linner -Wl,-rpath,$PWD"))
    reason = prepare(clone, library.fast, tmp_path / "state").why_not("allocmark-pool")
    assert "libinner.so: cannot open shared object file" in reason


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("backend.pool", "backend.so", "backend.so cannot be the name of a backend"),
        ("backend.pool", f"backend.{'x' * 61}", "at most 60"),
        ("backend.pool", "backend.null", "none of so, preload, null"),
        ('"libpool.so"\n', '"."\n', "backend.pool.library is '.': give a path inside the repository"),
        ("build", 'files = ["."]\nbuild', "files is '.': give a path inside the repository"),
        ("[backend.pool]", '[backend.my__pool]\nlibrary="a"\ninterface="malloc"\n[backend.my_pool]', "rename one"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_refused(library, allocmark_command, tmp_path, before, after, said):
    clone = tmp_path / "clone"
    library.made.git("clone", "-q", str(library.folder), str(clone))
    recipe = (library.folder / "allocmark.toml").read_text()
    (clone / "allocmark.toml").write_text(recipe.replace(before, after, 1))
    assert_refused(allocmark_command("track", "gate", "HEAD~1", "HEAD", cwd=clone), "allocmark.toml: ", said)


def test_a_place_for_builds_that_is_none_is_told(library, allocmark_command, tmp_path):
    clone = tmp_path / "clone"
    library.made.git("clone", "-q", str(library.folder), str(clone))
    shutil.copy(library.folder / "allocmark.toml", clone)
    (clone / ".allocmark").write_text("a file")
    assert_refused(allocmark_command("track", "gate", "HEAD~1", "HEAD", cwd=clone), "/.allocmark: builds and samples")
    (clone / ".asv").write_text("a file")
    assert_refused(allocmark_command("track", "run", "HEAD^!", cwd=clone), "/.asv: the history cannot be kept there")


def test_shallow_clones_and_a_detached_head(library, allocmark_command, tmp_path):
    clone = tmp_path / "clone"
    library.made.git("clone", "-q", "--depth", "1", library.folder.as_uri(), str(clone))
    library.made.git("-C", str(clone), "checkout", "-q", "--detach")
    shutil.copy(library.folder / "allocmark.toml", clone)
    done = allocmark_command("track", "gate", "HEAD", "HEAD", cwd=clone)
    assert done.returncode == 0, done.stderr
    assert_refused(allocmark_command("track", "gate", "HEAD~1", "HEAD", cwd=clone), "shallow")
    for commits in ("HEAD~1..HEAD", "nothing^!"):
        assert_refused(allocmark_command("track", "run", commits, cwd=clone), "git rev-list failed", "bad revision")


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
    begun = run("new-backend", "mine")
    assert (begun.returncode, "compiler" in begun.stderr) == (2, True)
    begun = run("new-backend", "mine", "--kind", "malloc")
    assert begun.returncode == 0, begun.stderr
