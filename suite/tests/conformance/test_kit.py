# SPDX-License-Identifier: BSD-3-Clause
"""The kit passes sound pools, and catches each way to break the contract."""

from __future__ import annotations

import json
import os
import re
import unittest
from pathlib import Path

import pytest
from support import assert_refused, called, hook, make_plugin

import allocmark
from allocmark.cli.conform import conclusions
from allocmark.conformance import MAY_REFUSE, WORKLOADS, KitCase, KitResult, cases
from allocmark.conformance.audit_cases import AUDITS
from allocmark.results.kept_conformance import kept_verdicts
from allocmark.stats import one_in
from allocmark.system.elf import build_of
from allocmark.system.machine import facts
from fixtures.mutants import MUTANTS, SOUND, Mutant, mutant_cases, refused
from proofs.mutants import BEGIN, END, PAGE


@pytest.fixture(autouse=True)
def installed(mutants: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(mutants)
    monkeypatch.setenv("PYTHONPATH", str(mutants), prepend=os.pathsep)  # for the processes of the cases


def kit(variant: str, budget: float = 0.2) -> dict[str, KitCase]:
    """The kit's cases for a mutant, by their names."""
    return {case: found for (label, case), found in mutant_cases(budget).items() if label == f"mutant:{variant}"}


def test_a_sound_pool_passes(allocmark_command, mutants):
    done = allocmark_command("conform", "mutant", "--json", "--budget", "0.5s", plugins=[mutants])
    assert done.returncode == 0, done.stdout
    assert done.stderr == ""
    rows = json.loads(done.stdout)
    workloads = {path.stem for path in WORKLOADS}
    assert {row["case"].split()[0] for row in rows} == workloads | set(AUDITS)
    assert workloads > MAY_REFUSE
    assert {row["backend"] for row in rows} == {"mutant:none"}
    (other,) = [row for row in rows if row["verdict"] != "passed"]
    assert other == {
        "backend": "mutant:none",
        "version": "1",
        "case": "alignments alignment=4096",
        "verdict": "refused",
        "why": "objects lie on 64 bytes, no more",
        "calls": 0,
    }
    calls = {row["case"]: row["calls"] for row in rows}
    assert calls["contention"] >= 1_500_000
    assert calls["one_way"] >= 200_000
    kept = kept_verdicts(facts()["machine"])["mutant:none"]
    (native,) = mutants.glob("*.so")
    assert build_of(str(native)) in kept.builds
    assert (kept.version, kept.passed, kept.failed, kept.calls) == ("1", True, 0, sum(calls.values()))


@pytest.mark.parametrize("variant", [name for name in SOUND if name != "none"])
@pytest.mark.parametrize("case", AUDITS)
def test_other_sound_pools_pass_the_audits(variant, case):
    assert kit(variant)[case].run().status == "passed"


def of(mutant: Mutant):
    slow = mutant.budget or mutant.variant == "hang"
    return pytest.param(mutant, id=mutant.variant, marks=[pytest.mark.long] if slow else [])


@pytest.mark.parametrize("mutant", list(map(of, MUTANTS)))
def test_a_broken_pool_is_refused_and_the_fault_is_named(mutant):
    assert refused(mutant)


def test_at_least_thirty_ways_to_be_broken_are_known():
    assert len({mutant.variant for mutant in MUTANTS}) == len(MUTANTS) >= 30


def test_the_page_of_broken_pools_is_what_the_kit_says():
    table = PAGE.read_text().partition(BEGIN)[2].partition(END)[0].splitlines()[2:]
    assert len(table) == len(MUTANTS)
    for mutant, row in zip(MUTANTS, table, strict=True):
        fault, case, message = (column.strip() for column in row.strip("|").split(" | ", 2))
        assert fault == mutant.fault
        assert case.startswith(f"`{mutant.case}`")
        assert re.search(mutant.words, message)


def test_a_get_that_fails_must_take_nothing():
    assert kit("none")["exhausted"].run() == KitResult("passed", "")
    result = kit("partial")["exhausted"].run()
    assert result.status == "failed"
    assert "pool 'objects'" in result.reason


@pytest.mark.parametrize("variant", ["no_memory", "init_fails", "enter_fails"])
def test_what_every_backend_must_serve_cannot_be_refused(variant):
    found = kit(variant)
    assert found["object_sizes object_size=1"].run().status == "refused"
    assert found["whole_pool cache=0"].run().status == "failed"
    assert found["counting"].run().status == "failed"


def test_what_a_backend_declares_it_cannot_do_is_not_asked_of_it():
    found = kit("alone")
    result = found["handover senders=1 receivers=1 cache=0"].run()
    assert result == KitResult(
        "unavailable", "for at most 1 actor per pool, and 2 use 'objects': choose fewer actors with --set"
    )
    assert found["contention"].run() == KitResult("unavailable", "not for several threads")
    assert found["threads"].run().status == "passed"


def test_an_allocator_that_is_described_as_a_pool_is_told_what_it_declares(allocmark_command, tmp_path):
    """malloc, without its capability. Only what counts objects refuses it, and says how it is described."""
    library = allocmark.find_library("libc.so.6")
    code = f"backend('heap', table=malloc_table(), options={{'malloc.library': {str(library)!r}}})"
    plugin = make_plugin(tmp_path / "heap", "heap", hook(f"from allocmark.engine import malloc_table; return [{code}]"))
    done = allocmark_command("conform", "heap", "--json", "--budget", "0.1s", plugins=[plugin])
    failed = {row["case"]: row["why"] for row in json.loads(done.stdout) if row["verdict"] == "failed"}
    assert failed.keys() == {"counting", "contention"}
    for why in failed.values():
        assert "handed out more than its" in why
        assert "Capabilities(any_size=True) in its plugin" in why


def test_check_is_for_test_suites():
    kit("none")["whole_pool cache=0"].check()
    with pytest.raises(AssertionError, match=r"mutant:null, whole_pool cache=0: .* null pointer"):
        kit("null")["whole_pool cache=0"].check()
    with pytest.raises(unittest.SkipTest, match="refused: objects lie on 64 bytes"):
        kit("none")["alignments alignment=4096"].check()


def test_a_broken_pool_is_exit_status_1(allocmark_command, mutants):
    done = allocmark_command("conform", "mutant:outside", "--budget", "0.1s", plugins=[mutants])
    assert done.returncode == 1
    assert "lies outside the regions" in done.stdout
    assert re.search(r"mutant:outside failed \d+ of 31 cases\.$", done.stdout, re.MULTILINE)
    assert not kept_verdicts(facts()["machine"])["mutant:outside"].passed


def test_what_a_backend_may_refuse_is_no_failure():
    rows = [{"backend": "mine", "verdict": verdict, "calls": 0} for verdict in ("passed", "refused")]
    rows[0]["calls"] = 1_000_000
    (line,) = conclusions(rows)
    assert line.startswith("mine passed 1 of 2 cases. 1 case it refused, as it may. 1,000,000 calls were checked")


@pytest.mark.parametrize(("calls", "rarest"), [(0, 0), (1, 1), (1_000_000, 217_147), (5_000_000, 1_085_736)])
def test_the_power_is_that_of_the_calls_made(calls, rarest):
    assert one_in(calls) == rarest
    if calls > 1:
        assert (1 - 1 / rarest) ** calls <= 0.01 < (1 - 1 / (rarest + 1)) ** calls


@pytest.mark.parametrize(("backend", "words"), [("null", "the floor cannot be"), ("glibd", "did you mean 'glibc'?")])
def test_what_cannot_be_checked_is_refused(backend, words):
    assert_refused(called("conform", backend), words)


def test_a_budget_that_is_no_time_is_refused():
    assert_refused(called("conform", "glibc", "--budget", "long"), "'long' is not a time such as 90s")


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("backend", [*(f"mutant:{variant}" for variant in SOUND), "turbomem", "dpdk_ring", "glibc"])
def test_sound_backends_pass_many_times_in_a_row(backend):
    for _ in range(20):
        for case in cases(backend):
            result = case.run()
            assert result.status != "failed", f"{case}: {result.reason}"


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("variant", [mutant.variant for mutant in MUTANTS if mutant.variant != "hang"])
def test_the_whole_kit_refuses_a_broken_pool(allocmark_command, mutants, variant):
    (budget,) = {mutant.budget or 2 for mutant in MUTANTS if mutant.variant == variant}
    done = allocmark_command("conform", f"mutant:{variant}", "--budget", f"{budget}s", plugins=[mutants], timeout=1200)
    assert done.returncode == 1, done.stdout
