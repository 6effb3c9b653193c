# SPDX-License-Identifier: BSD-3-Clause
"""The kit passes a correct pool, and catches each way to break the contract."""

from __future__ import annotations

import json
import os
import unittest
from collections.abc import Callable
from pathlib import Path

import pytest
from support import assert_refused

from allocmark.conformance import MAY_REFUSE, WORKLOADS, KitCase, KitResult, cases

Mutant = Callable[[str], dict[str, KitCase]]


@pytest.fixture
def mutant(mutants: Path, monkeypatch: pytest.MonkeyPatch) -> Mutant:
    """``mutant(variant)``: the kit's cases for it, by their names."""
    monkeypatch.syspath_prepend(mutants)
    monkeypatch.setenv("PYTHONPATH", str(mutants), prepend=os.pathsep)  # for the processes of the cases
    return lambda variant: {str(case): case for case in cases(f"mutant:{variant}")}


def test_a_correct_pool_passes(allocmark_command, mutants):
    done = allocmark_command("conform", "mutant", "--json", plugins=[mutants])
    assert done.returncode == 0, done.stdout
    assert done.stderr == ""
    rows = json.loads(done.stdout)
    assert {row["case"].split()[0] for row in rows} == {path.stem for path in WORKLOADS} > MAY_REFUSE
    assert {row["backend"] for row in rows} == {"mutant:none"}
    (refused,) = [row for row in rows if row["verdict"] != "passed"]
    assert refused == {
        "backend": "mutant:none",
        "version": "1",
        "case": "alignments alignment=4096",
        "verdict": "refused",
        "why": "objects lie on 64 bytes, no more",
    }


@pytest.mark.parametrize(
    ("variant", "case", "words"),
    [
        ("twice", "whole_pool cache=0", "was handed out while worker[0]"),
        ("overlap", "object_sizes object_size=4096", "overlaps object 0x"),
        ("misaligned", "alignments alignment=64", "is not aligned to 64 bytes"),
        ("null", "bulk_sizes cache=0", "handed out a null pointer"),
        ("overwrite", "handover senders=3 receivers=2 cache=0", "was overwritten at byte 17"),
        ("outside", "several_pools", "lies outside the regions"),
        ("lose", "bulk_sizes cache=8", "of its 4,095 objects"),
        ("crash", "whole_pool cache=8", "killed by SIGSEGV"),
    ],
)
def test_a_broken_pool_fails(mutant, variant, case, words):
    result = mutant(variant)[case].run()
    assert result.status == "failed"
    assert words in result.reason


def test_a_get_that_fails_must_take_nothing(mutant):
    assert mutant("none")["exhausted"].run() == KitResult("passed", "")
    result = mutant("partial")["exhausted"].run()
    assert result.status == "failed"
    assert "pool 'objects'" in result.reason


@pytest.mark.parametrize("variant", ["no_memory", "init_fails", "enter_fails"])
def test_what_every_backend_must_serve_cannot_be_refused(mutant, variant):
    found = mutant(variant)
    assert found["object_sizes object_size=1"].run().status == "refused"
    assert found["whole_pool cache=0"].run().status == "failed"


def test_what_a_backend_declares_it_cannot_do_is_not_asked_of_it(mutant):
    result = mutant("alone")["handover senders=1 receivers=1 cache=0"].run()
    assert result == KitResult(
        "unavailable", "for at most 1 actor per pool, and 2 use 'objects': choose fewer actors with --set"
    )


def test_check_is_for_test_suites(mutant):
    mutant("none")["whole_pool cache=0"].check()
    with pytest.raises(AssertionError, match=r"mutant:null, whole_pool cache=0: .* null pointer"):
        mutant("null")["whole_pool cache=0"].check()
    with pytest.raises(unittest.SkipTest, match="refused: objects lie on 64 bytes"):
        mutant("none")["alignments alignment=4096"].check()


def test_a_broken_pool_is_exit_status_1(allocmark_command, mutants):
    done = allocmark_command("conform", "mutant:outside", plugins=[mutants])
    assert done.returncode == 1
    assert "lies outside the regions" in done.stdout


@pytest.mark.parametrize(("backend", "words"), [("null", "the floor cannot be"), ("glibd", "did you mean 'glibc'?")])
def test_what_cannot_be_checked_is_refused(allocmark_command, backend, words):
    assert_refused(allocmark_command("conform", backend), words)
