# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark size`` on a pool of which everything can be counted by hand: see stash.c."""

from __future__ import annotations

import json
import os

import pytest
from support import assert_refused

HEAD = "format: 1\nname: w\nsummary: s\nsource: s\n"
POOL = "pools: {p: {object_size: 64, objects: 4000}}\n"
ONE_WAY = (
    HEAD + POOL + "queues: {q: {capacity: 64}}\nactors:\n"
    "  rx: [{get: {from: p, n: 8}}, {send: {to: q}}]\n  tx: [{receive: {from: q}}, {put: all}]\n"
)
HOLD = (
    HEAD + POOL + "queues: {q: {capacity: 8}}\nactors:\n  rx: [{get: {from: p, n: 8}}, {send: {to: q}}]\n"
    "  tx: [{repeat: {until_held: 32, steps: [{receive: {from: q}}]}},"
    " {repeat: {until_held: 0, steps: [{put: {which: oldest, n: 8}}]}}]\n"
)
#: Holds 0 to 32 objects, on one core.
SWING = (
    HEAD + POOL + "actors:\n  w: [{repeat: {until_held: 32, steps: [{get: {from: p, n: 8}}]}},"
    " {repeat: {until_held: 0, steps: [{put: {which: oldest, n: 8}}]}}]\n"
)


@pytest.fixture
def size(allocmark_command, stash, tmp_path):
    """``size(text, caches)``: the rows of one backend on the only case of a workload, as JSON."""

    def counted(text, caches, backend="stash", *more):
        (tmp_path / "w.yaml").write_text(text)
        result = allocmark_command(
            *("size", "./w.yaml", "-b", backend, "--cache", caches, "--json", *more), plugins=[stash]
        )
        assert result.returncode == 0, result.stderr
        ((found,),) = [case["backends"] for case in json.loads(result.stdout)]
        return found

    return counted


def rates(row):
    """Objects per trip, of all gets and of all puts."""
    gets, puts = ([actor[what] for actor in row["actors"]] for what in ("gets", "puts"))
    return tuple(sum(t["objects"] for t in each) / max(1, sum(t["trips"] for t in each)) for each in (gets, puts))


def test_get_here_put_there(size):
    """A get that finds the cache empty takes 8 and as many as it holds; a put that finds it full sends all of it."""
    found = size(ONE_WAY, "0,8,32,64")
    by_hand = {0: (8, 8), 8: (16, 8), 32: (40, 32), 64: (72, 64)}
    for row in found["sizes"]:
        assert rates(row) == pytest.approx(by_hand[row["cache"]], rel=0.01)
        # What goes in must come out: each trip moves as many objects as pass between two.
        gets, puts = row["actors"][0]["gets"], row["actors"][1]["puts"]
        assert gets["moved"] == pytest.approx(gets["objects"], abs=72)
        assert puts["moved"] == pytest.approx(puts["objects"], abs=72)
        (pool,) = row["pools"]
        # tx holds a bulk while rx gets the next; at the worst its cache is full.
        assert (pool["most_out"], pool["smallest"]) == (16, 16 + row["cache"])
    # 0.25, 0.19, 0.056 and 0.030 trips per object: 64 saves more than one in a hundred.
    assert found["knee"] == 64
    # In the smallest pool nothing is left to fill rx's cache with: each of its gets is a trip.
    assert found["advice"] == (
        "cache 64: one trip per 34 objects; pool ≥ 80 (one trip per 7 objects in the smallest); "
        "with 32, tx puts miss once per 32 objects."
    )


def test_same_core(size):
    """The cache has to even out 32 objects: with room for them nobody else is asked.

    Of 8: the second and fourth get find it empty, each put finds it full. Of 16: it begins with 16 and with 8 in turn;
    of 8 gets two find it empty, of 8 puts three find it full.
    """
    found = size(SWING, "8,16,32")
    small, half, enough = found["sizes"]
    assert rates(small) == pytest.approx((16, 8), rel=0.01)
    assert rates(half) == pytest.approx((32, 64 / 3), rel=0.01)
    assert [row["trips_per_object"] for row in found["sizes"]] == pytest.approx([6 / 32, 5 / 64, 0], rel=0.01)
    assert enough["average_burst"] is None
    # Alone, nothing is out of reach: 32 objects do, whatever the cache.
    assert [row["pools"][0]["smallest"] for row in found["sizes"]] == [32, 32, 32]
    assert found["knee"] == 32


def test_hold_and_release(size):
    """tx receives until it holds 32 objects, then puts them, 8 by 8; rx has got the next 8 before it begins.

    Of 8, each put finds the cache full. Of 16, each other one: it sends 16 and keeps its 8. A get that finds the cache
    empty takes 8 and as many as it holds. tx has put four times when it receives again: its cache is full then, and
    stays so until rx has got what brings it to 32.
    """
    found = size(HOLD, "8,16")
    by_hand = {8: (16, 8), 16: (24, 16)}
    for row in found["sizes"]:
        assert rates(row) == pytest.approx(by_hand[row["cache"]], rel=0.01)
        (pool,) = row["pools"]
        assert (pool["most_out"], pool["smallest"]) == (32 + 8, 32 + 8 + row["cache"])


def test_with_the_smallest_pool_no_get_fails_and_with_one_object_fewer_one_does(size):
    """Found by trial, also where the backend says nothing of its caches; there are no trips then."""
    told, silent = (size(ONE_WAY, "32,64", f"stash:{variant}")["sizes"] for variant in ("told", "silent"))
    alike = [[{**pool, "gets": None, "puts": None} for row in rows for pool in row["pools"]] for rows in (told, silent)]
    assert alike[0] == alike[1]
    assert [row["pools"][0]["smallest"] for row in told] == [48, 80]
    assert all(row["trips_per_object"] is None and row["average_burst"] is None for row in silent)


def test_a_file_whose_pool_is_too_small_is_counted_too(size):
    text = ONE_WAY.replace("4000", "40")
    assert size(text, "32")["sizes"][0]["pools"][0]["smallest"] == 48


def test_every_run_says_the_same(size):
    assert size(ONE_WAY, "8,32") == size(ONE_WAY, "8,32")


def test_a_size_that_the_backend_refuses_costs_no_other(allocmark_command, stash, tmp_path):
    (tmp_path / "w.yaml").write_text(ONE_WAY)
    result = allocmark_command("size", "./w.yaml", "-b", "stash", plugins=[stash])
    assert result.returncode == 0
    assert result.stdout.count("refused: a stash caches at most 200 objects") == 2  # of 256 and 512
    assert "stash:told: cache 128: one trip per" in result.stdout


def test_a_table_has_a_row_for_each_size_and_says_what_it_means(allocmark_command, stash, tmp_path):
    (tmp_path / "w.yaml").write_text(ONE_WAY)
    text = allocmark_command("size", "./w.yaml", "-b", "stash", "--cache", "32,64", plugins=[stash]).stdout
    lines = text.splitlines()
    assert lines[0] == "w"
    head, _, first, second = lines[3:7]
    assert head.split()[:4] == ["cache", "p", "≥", "stranded"]
    assert first.split()[:3] == ["32", "48", "32"]
    assert second.split()[-1] == "knee"
    for word in ("≥:", "stranded:", "trips/object:", "miss rate:", "average burst:", "knee:"):
        assert word in " ".join(text.split())


def test_a_backend_that_breaks_is_named_and_the_others_go_on(allocmark_command, stash, mutants, tmp_path):
    (tmp_path / "w.yaml").write_text(ONE_WAY)
    result = allocmark_command(
        *("size", "./w.yaml", "-b", "mutant:crash", "-b", "stash", "--cache", "32"), plugins=[stash, mutants]
    )
    assert result.returncode == 1
    assert "failed: killed by SIGSEGV" in result.stdout
    assert "stash:told: cache 32: one trip per" in result.stdout


def test_a_workload_for_more_cores_than_there_are_is_counted(allocmark_command):
    cores = len(os.sched_getaffinity(0)) + 1
    asked = ("--set", f"cores={cores}", "--set", "keep=128", "--set", "bulk=32")
    result = allocmark_command("size", "burst", "-b", "glibc", "--cache", "32", *asked)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"at most {128 * cores:,} of mbuf are out at once" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["burst", "-b", "null"], ["the floor", "name another backend"]),
        (["burst", "--set", "cache=64"], ["--set cache", "--cache"]),
        (["burst", "--cache", "64,many"], ["'64,many'", "numbers"]),
        (["burts"], ["did you mean 'burst'"]),
        (["burst", "-b", "nobody"], ["no backend is called 'nobody'"]),
    ],
)
def test_bad_input_is_one_line(allocmark_command, arguments, words):
    assert_refused(allocmark_command("size", *arguments), *words)
